#include "plan/forward_sm80.h"

#include <algorithm>
#include <cstdio>

#include "dtype.h"
#include "plan/forward_1x1_sm80.h"
#include "plan/forward_schedule.h"
#include "problem.h"

namespace octconv {
namespace {

constexpr int64_t kMostWorkspace = 64 << 20;  // bytes of partial sums
constexpr int32_t kSplits[] = {1, 2, 3, 4, 6, 8, 12, 16};
constexpr int32_t kEighths[] = {8, 7, 6, 4, 2};  // of a tile's quads, for whole waves of items
constexpr int64_t kManyWaves = 4;                // of which the last one may be a part
constexpr int32_t kReserved = 1024;  // bytes of shared memory that each block costs besides

enum class Rotation { kAny, kBest };

// All tiles of one kind.
struct Work {
  TileShape shape;
  int32_t tiles;
  std::vector<ItemClocks> splits;  // of a tile
  ItemClocks sum;                  // of all items
  double longest;                  // item, from begin to end
  double mma, shared, l2;          // clocks of each unit
  double start;                    // clocks before a block's first item
  int64_t items() const { return int64_t{tiles} * shape.splits; }
};

// Finds the plan of one instantiation.
struct Planner {
  const Problem& problem;
  const Instance& instance;
  const DeviceFacts& device;

  const int32_t weight_stages;
  const int32_t resident_blocks;  // of a multiprocessor, which share its memory evenly

  // What a block may take of shared memory for its two halos, each.
  int32_t halo_limit() const {
    const int32_t share = device.shared_per_multiprocessor / resident_blocks - kReserved;
    const int32_t block = std::min(share, device.shared_per_block);
    return (block - shared_bytes(instance.limits, 0, weight_stages)) / 2 / 128 * 128;
  }

  int64_t places() const { return int64_t{device.multiprocessors} * resident_blocks; }

  ForwardParams params_of(const TileShape& high, const TileShape& low) const {
    return shape_params(problem, instance, high, low, weight_stages);
  }

  bool fits(const Program& program) const {
    if (program.columns == 0) return true;
    for (const Segment& segment : program.segment) {
      if (segment.channels == 0) continue;
      const HaloExtent halo = halo_extent(program, segment, instance.limits.padding);
      if (halo.rows > instance.limits.table_rows) return false;
      if (halo.cells > instance.limits.table_cells) return false;
    }
    return halo_bytes(program, instance.limits.padding) <= halo_limit();
  }

  // The rectangle of at most so many quads that leaves the least to do in all tiles.
  TileShape best_shape(bool high, int32_t quads) const {
    const int32_t across = problem.quad_width(), down = problem.quad_height();
    const int64_t stack = int64_t{problem.batch} * down;  // rows of all images
    TileShape best{1, 1, 1};
    double least = -1;
    const ForwardParams any = params_of(best, best);
    if ((high ? any.high : any.low).columns == 0) return best;
    const auto consider = [&](int32_t width, int32_t height) {
      const TileShape shape{width, height, 1};
      const ForwardParams params = params_of(shape, shape);
      const Program& program = high ? params.high : params.low;
      if (!fits(program)) return false;
      const TileCost cost = tile_cost(instance, device, params, high, 0);
      const double work = program.tiles() * std::max(cost.clocks / resident_blocks, cost.busy());
      if (least < 0 || work < least) least = work, best = shape;
      return true;
    };
    // Of all widths that give the same number of tiles across, the narrowest one.
    for (int32_t count = divide_up(across, quads), last = 0; count <= across; ++count) {
      const int32_t width = divide_up(across, count);
      if (width == last) continue;
      if (width < 4 && last > 0) break;  // hardly more than halo
      last = width;
      // Of the heights, the greatest one; if there is a lower one with as many tiles, that; and one
      // at which tiles begin where images do.
      auto height = static_cast<int32_t>(std::min<int64_t>(quads / width, stack));
      while (!consider(width, height) && height > 1) --height;
      const int32_t lower = divide_up(stack, divide_up(stack, height));
      const int32_t aligned =
          height >= down ? height / down * down : divide_up(down, divide_up(down, height));
      if (lower != height) consider(width, lower);
      if (aligned != height && aligned != lower) consider(width, aligned);
    }
    return best;
  }

  Work work(bool high, const TileShape& shape) const {
    const ForwardParams params = params_of(shape, shape);
    const Program& program = high ? params.high : params.low;
    Work work{{shape.width, shape.height, program.splits}, program.tiles(), {}, {}, 0, 0, 0, 0, 0};
    for (int32_t split = 0; split < program.splits && work.tiles > 0; ++split) {
      const TileCost cost = tile_cost(instance, device, params, high, split);
      work.splits.push_back({cost.clocks, cost.busy()});
      work.sum.alone += cost.clocks * work.tiles;
      work.sum.busy += cost.busy() * work.tiles;
      work.longest = std::max(work.longest, cost.clocks);
      work.start = std::max(work.start, cost.start_clocks);
      work.mma += cost.mma_clocks * work.tiles;
      work.shared += cost.shared_clocks * work.tiles;
      work.l2 += cost.l2_clocks * work.tiles;
    }
    return work;
  }

  // Large tiles do the least in all; smaller ones, or their chunks of channels in splits, may leave
  // fewer multiprocessors idle.
  std::vector<Work> works(bool high) const {
    const int32_t quads = (high ? instance.limits.high : instance.limits.low).quads;
    std::vector<Work> works;
    int32_t tiles = -1;
    for (const int32_t eighths : kEighths) {
      TileShape shape = best_shape(high, quads * eighths / 8);
      const ForwardParams params = params_of(shape, shape);
      const Program& program = high ? params.high : params.low;
      if (program.tiles() == tiles) continue;
      tiles = program.tiles();
      for (const int32_t splits : kSplits) {
        if (splits > 1 && splits > program.chunks[0] + program.chunks[1]) break;
        shape.splits = splits;
        works.push_back(work(high, shape));
        if (works.back().items() >= places()) break;
      }
      if (tiles == 0 || tiles >= kManyWaves * places()) break;
    }
    return works;
  }

  Plan plan(const Work& high, const Work& low, Rotation rotation) const {
    Plan plan{};
    plan.kernel = "forward_sm80";
    plan.tiles = instance.limits.name;
    plan.high = high.shape, plan.low = low.shape;
    plan.high_items = high.items(), plan.low_items = low.items();
    const int64_t items = plan.high_items + plan.low_items;
    plan.blocks = static_cast<int32_t>(std::min(items, places()));
    plan.blocks_per_multiprocessor = resident_blocks;
    plan.weight_stages = weight_stages;
    const ForwardParams params = params_of(high.shape, low.shape);
    if (!fits(params.high) || !fits(params.low)) plan.tiles = nullptr;
    plan.shared_bytes = shared_bytes(instance.limits, params.halo_bytes, weight_stages);
    plan.launch_us = device.launch_us;
    if (high.shape.splits > 1 || low.shape.splits > 1) {
      plan.partial_sums = items * instance.limits.sums;
      plan.arrivals = high.tiles + low.tiles;
      plan.launch_us *= 2;
    }
    Schedule schedule{high.splits,     low.splits,
                      plan.high_items, plan.low_items,
                      plan.blocks,     device.multiprocessors,
                      plan.blocks / 2, std::max(high.start, low.start)};
    if (rotation == Rotation::kBest) schedule.rotation = best_rotation(schedule);
    plan.rotation = schedule.rotation;
    const double us = 1e6 / device.clock, share = us / device.multiprocessors;
    plan.tiles_us = makespan(schedule) * us;
    plan.mma_us = (high.mma + low.mma) * share;
    plan.shared_us = (high.shared + low.shared) * share;
    plan.l2_us = (high.l2 + low.l2) * share;
    return plan;
  }

  // No order of the items takes less: as `plan` has it, in us.
  double least_us(const Work& high, const Work& low) const {
    const double blocks = double(std::min(high.items() + low.items(), places()));
    const double clocks = std::max({(high.sum.alone + low.sum.alone) / blocks,
                                    (high.sum.busy + low.sum.busy) / device.multiprocessors,
                                    high.longest, low.longest});
    const bool split = high.shape.splits > 1 || low.shape.splits > 1;
    const double start = std::max(high.start, low.start);
    return (split ? 2 : 1) * device.launch_us + (start + clocks) * 1e6 / device.clock;
  }

  Plan best() const {
    const std::vector<Work> highs = works(true), lows = works(false);
    const Work *best_high = &highs[0], *best_low = &lows[0];
    Plan best = plan(*best_high, *best_low, Rotation::kAny);
    for (const Work& high : highs) {
      for (const Work& low : lows) {
        if (best.tiles && least_us(high, low) >= best.launch_us + best.tiles_us) continue;
        const Plan other = plan(high, low, Rotation::kAny);
        if (other.partial_sums * int64_t{sizeof(float)} > kMostWorkspace) continue;
        if (!other.tiles) continue;
        if (!best.tiles || other.cheaper_than(best))
          best = other, best_high = &high, best_low = &low;
      }
    }
    return plan(*best_high, *best_low, Rotation::kBest);
  }
};

template <typename T>
std::vector<Instance> instances_of(const Problem& problem) {
  std::vector<Instance> all;
  const int32_t taps = problem.kernel;
  const auto add = [&](auto traits) { all.push_back(instance_of<decltype(traits)>(taps)); };
  problem.input_grad ? for_each_forward<T, true>(taps, add) : for_each_forward<T, false>(taps, add);
  return all;
}

}  // namespace

double memory_bytes(const Problem& q, int32_t element_bytes) {
  const auto map = [&](int32_t height, int32_t width, int32_t high, int32_t low) {
    return double(q.batch) *
           (double(height) * width * high + double(half_up(height)) * half_up(width) * low);
  };
  const double weight =
      double(q.high_in + q.low_in) * (q.high_out + q.low_out) * q.kernel * q.kernel;
  return element_bytes * (map(q.height, q.width, q.high_in, q.low_in) + weight +
                          map(q.grid_height(), q.grid_width(), q.high_out, q.low_out));
}

std::vector<Instance> instances_for(const Problem& problem, ElementType type) {
  if (type == ElementType::kBFloat16) return instances_of<BFloat16>(problem);
  if (type == ElementType::kFloat16) return instances_of<Float16>(problem);
  return instances_of<TFloat32>(problem);
}

ForwardParams shape_params(const Problem& problem, const Instance& instance, const TileShape& high,
                           const TileShape& low, int32_t weight_stages) {
  ForwardPointers pointers{};
  pointers.weight = &problem;  // nothing is read there, but offsets from null are not defined
  return forward_params(problem, instance.limits, high, low, weight_stages, pointers);
}

Plan plan_forward(const Problem& problem, ElementType type, const DeviceFacts& device) {
  Plan best{};
  for (const Instance& instance : instances_for(problem, type)) {
    if (instance.limits.needs_passing && !device.passes_registers()) continue;
    for (int32_t blocks = instance.limits.blocks; blocks > 0; --blocks) {
      for (int32_t stages = 2; stages <= most_weight_stages(instance.limits); ++stages) {
        const Planner planner{problem, instance, device, stages, blocks};
        const Plan plan = planner.best();
        if (plan.tiles && (!best.tiles || plan.cheaper_than(best))) best = plan;
      }
    }
  }
  const Plan joint = plan_1x1(problem, type, device);
  if (joint.tiles && (!best.tiles || joint.cheaper_than(best))) best = joint;
  best.memory_us = memory_bytes(problem, bytes_of(type)) / device.memory_bytes * 1e6;
  best.microseconds = best.launch_us + std::max(best.tiles_us, best.memory_us);
  return best;
}

std::string to_string(const Plan& plan) {
  if (!plan.tiles) return "no tiles fit";
  const auto shape = [](const char* kind, const TileShape& tile, int64_t items) {
    if (items == 0) return std::string();
    const std::string splits =
        tile.splits > 1 ? " in " + std::to_string(tile.splits) + " splits" : "";
    return std::string(", ") + kind + ' ' + std::to_string(tile.width) + 'x' +
           std::to_string(tile.height) + " quads" + splits;
  };
  char times[160];
  std::snprintf(times, sizeof(times),
                "predicted %.1f us: launch %.1f, tiles %.1f (tensor cores %.1f, shared memory "
                "%.1f, L2 %.1f), memory %.1f",
                plan.microseconds, plan.launch_us, plan.tiles_us, plan.mma_us, plan.shared_us,
                plan.l2_us, plan.memory_us);
  std::string joint;
  if (plan.joint_items > 0) {
    joint = " of " + std::to_string(plan.joint.quads) + " quads, " +
            std::to_string(plan.joint.stages) + " stages";
  }
  return std::string(plan.kernel) + ", " + plan.tiles + " tiles" + joint +
         shape("high", plan.high, plan.high_items) + shape("low", plan.low, plan.low_items) + ", " +
         std::to_string(plan.blocks) + (plan.blocks == 1 ? " block; " : " blocks; ") + times;
}

}  // namespace octconv
