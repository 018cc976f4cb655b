#include "plan/weight_grad_sm80.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <queue>

#include "dtype.h"
#include "plan/weight_grad_1x1_sm80.h"
#include "plan/weight_grad_cost.h"
#include "problem.h"

namespace octconv {
namespace {

constexpr int32_t kEighths[] = {8, 4, 2};      // of the pixels that fit, for more splits
constexpr int64_t kWaves[] = {1, 2, 3, 4, 8};  // of items, that splits may come to
constexpr int64_t kMostSimulated = 4096;       // items

// All items of one job, but for how the pixel tiles are split.
struct JobWork {
  PixelTile shape;
  int64_t tiles;  // of the weight
  int32_t pixel_tiles;
  PixelTileCost cost;
  double split_overhead, whole_overhead;  // clocks of an item, split or not

  double clocks(int32_t splits) const {
    return divide_up(pixel_tiles, splits) * cost.clocks +
           (splits > 1 ? split_overhead : whole_overhead);
  }
  // The fewest splits at which no item takes longer than `most`, as far as that can be.
  int32_t splits_within(double most) const {
    if (tiles == 0 || clocks(1) <= most) return 1;
    const auto turns = static_cast<int64_t>((most - split_overhead) / cost.clocks);
    return divide_up(pixel_tiles, std::max<int64_t>(turns, 1));
  }
};
using Works = std::array<JobWork, kJobs>;

// Finds the plan of one instantiation.
struct Planner {
  const Problem& problem;
  const WeightGradLimits& limits;
  const DeviceFacts& device;

  WeightGradParams params(const PixelTile& shape) const {
    return weight_grad_params(problem, limits, {shape, shape, shape, shape}, pointers_of_plan());
  }

  // Bytes of a stage, of all that a block may have.
  int32_t most_stage() const {
    return (device.shared_per_block - limits.stages * 128) / limits.stages;
  }

  JobWork work(const WeightGradParams& p, int index) const {
    const WeightGradJob& job = p.job[index];
    JobWork work{{job.tile_width, job.tile_height, 1}, job.tiles(), job.pixel_tiles, {}, 0, 0};
    if (work.tiles == 0) return work;
    work.cost = pixel_tile_cost(limits, device, p, job);
    work.split_overhead = item_overhead(limits, device, work.cost, true);
    work.whole_overhead = item_overhead(limits, device, work.cost, false);
    return work;
  }

  // The pixel tiles of at most so many pixels that leave the least to do in all.
  JobWork best_work(int index, int32_t pixels) const {
    const WeightGradParams any = params({1, 1, 1});
    const WeightGradJob& job = any.job[index];
    JobWork best = work(any, index);
    if (best.tiles == 0) return best;
    const int64_t stack = int64_t{problem.batch} * job.height;
    const int32_t unit = 32 * limits.groups;  // pixels that all groups have the same part of
    const auto consider = [&](int32_t width, int64_t height) {
      height = std::min(height, stack);
      if (height < 1) return;
      const WeightGradParams p = params({width, static_cast<int32_t>(height), 1});
      if (stage_bytes_of(p.job[index]) > most_stage()) return;
      const JobWork other = work(p, index);
      if (other.pixel_tiles * other.cost.clocks < best.pixel_tiles * best.cost.clocks) best = other;
    };
    // Of all widths that give the same number of tiles across, the narrowest one.
    for (int32_t count = divide_up(job.width, pixels), last = 0; count <= job.width; ++count) {
      const int32_t width = divide_up(job.width, count);
      if (width == last) continue;
      if (width < 4 && last > 0) break;  // hardly more than halo
      last = width;
      const int64_t most = std::min<int64_t>(pixels / width, stack);
      for (int32_t whole = unit; whole <= pixels; whole += unit) consider(width, whole / width);
      for (int64_t height = most; height > most / 2; --height) consider(width, height);
      consider(width, divide_up(stack, divide_up(stack, most)));
    }
    return best;
  }

  int64_t partial_sums(const Works& works, const std::array<int32_t, kJobs>& splits) const {
    const WeightGradParams p = params({1, 1, 1});
    int64_t sums = 0;
    for (int i = 0; i < kJobs; ++i) {
      if (splits[i] > 1) sums += works[i].tiles * splits[i] * p.item_sums();
    }
    return sums;
  }

  // The least splits at which all jobs' items take about equally long and there are at most so many
  // items; 1 where more tiles are than that.
  std::array<int32_t, kJobs> balanced(const Works& works, int64_t most_items) const {
    std::array<int32_t, kJobs> splits;
    const auto within = [&](double most) {
      int64_t items = 0;
      for (int i = 0; i < kJobs; ++i) {
        splits[i] = works[i].splits_within(most);
        items += works[i].tiles * splits[i];
      }
      return items <= most_items && partial_sums(works, splits) * int64_t{sizeof(float)} <=
                                        kMostPartialBytes * device.multiprocessors;
    };
    double low = 0, high = 0;
    for (const JobWork& work : works) high = std::max(high, work.tiles ? work.clocks(1) : 0);
    for (int i = 0; i < 40 && high - low > 1; ++i) {
      const double middle = (low + high) / 2;
      (within(middle) ? high : low) = middle;
    }
    within(high);
    return splits;
  }

  // Clocks until the last block has done its item, as blocks get places in their order.
  double makespan(const Works& works, const std::array<int32_t, kJobs>& splits) const {
    double all = 0, longest = 0;
    int64_t items = 0;
    for (int i = 0; i < kJobs; ++i) {
      if (works[i].tiles == 0) continue;
      const int64_t of_job = works[i].tiles * splits[i];
      all += of_job * works[i].clocks(splits[i]);
      longest = std::max(longest, works[i].clocks(splits[i]));
      items += of_job;
    }
    const int64_t places = device.multiprocessors;
    if (items <= places) return longest;
    if (items > kMostSimulated) return all / places + longest / 2;
    std::priority_queue<double, std::vector<double>, std::greater<double>> free;
    for (int64_t i = 0; i < places; ++i) free.push(0);
    double last = 0;
    for (int i = 0; i < kJobs; ++i) {
      const double clocks = works[i].tiles ? works[i].clocks(splits[i]) : 0;
      for (int64_t item = 0; item < works[i].tiles * splits[i]; ++item) {
        const double end = free.top() + clocks;
        free.pop(), free.push(end);
        last = std::max(last, end);
      }
    }
    return last;
  }

  WeightGradPlan plan(const Works& works, const std::array<int32_t, kJobs>& splits) const {
    WeightGradPlan plan{};
    plan.tiles = limits.name;
    const double us = 1e6 / device.clock, share = us / device.multiprocessors;
    for (int i = 0; i < kJobs; ++i) {
      const JobWork& work = works[i];
      plan.pixel_tiles[i] = work.shape;
      plan.pixel_tiles[i].splits = splits[i];
      plan.items[i] = work.tiles * splits[i];
      const double tiles = double(work.tiles) * work.pixel_tiles * share;
      plan.mma_us += tiles * work.cost.mma_clocks;
      plan.shared_us += tiles * work.cost.shared_clocks;
      plan.l2_us += tiles * work.cost.l2_clocks;
    }
    const WeightGradParams p =
        weight_grad_params(problem, limits, plan.pixel_tiles, pointers_of_plan());
    plan.partial_sums = p.sums;
    plan.launch_us = device.launch_us * (plan.partial_sums > 0 ? 2 : 1);
    plan.tiles_us = makespan(works, splits) * us;
    plan.splits_us = splits_clocks(device, p) * us;
    plan.shared_bytes = p.shared_bytes;
    return plan;
  }

  WeightGradPlan best() const {
    WeightGradPlan best{};
    const int32_t most_pixels = most_stage() / (limits.dy_pitch + limits.x_pitch);
    for (const int32_t eighths : kEighths) {
      Works works;
      for (int i = 0; i < kJobs; ++i)
        works[i] = best_work(i, std::max(most_pixels * eighths / 8, 1));
      std::array<int32_t, kJobs> last{};
      for (const int64_t waves : kWaves) {
        const auto splits = balanced(works, waves * device.multiprocessors);
        if (splits == last) continue;
        last = splits;
        const WeightGradPlan other = plan(works, splits);
        if (!best.tiles || other.cheaper_than(best)) best = other;
      }
    }
    return best;
  }
};

}  // namespace

std::vector<WeightGradLimits> weight_grads_for(const Problem& problem, ElementType type) {
  std::vector<WeightGradLimits> all;
  const int32_t taps = problem.kernel;
  const auto add = [&](auto traits, const char* name) {
    all.push_back(limits_of_grad<decltype(traits)>(name, taps));
  };
  if (type == ElementType::kBFloat16) for_each_weight_grad<BFloat16>(taps, add);
  if (type == ElementType::kFloat16) for_each_weight_grad<Float16>(taps, add);
  if (type == ElementType::kTFloat32) for_each_weight_grad<TFloat32>(taps, add);
  return all;
}

WeightGradPlan plan_weight_grad(const Problem& problem, ElementType type,
                                const DeviceFacts& device) {
  WeightGradPlan best = plan_joint_grad(problem, type, device);
  const bool joint = best.tiles != nullptr;  // it reads least where it can be had
  for (const WeightGradLimits& limits : weight_grads_for(problem, type)) {
    if (joint || limits.end_bytes > device.shared_per_block) continue;
    const WeightGradPlan plan = Planner{problem, limits, device}.best();
    if (!plan.tiles || plan.shared_bytes > device.shared_per_block) continue;
    if (!best.tiles || plan.cheaper_than(best)) best = plan;
  }
  best.memory_us = memory_bytes(problem, bytes_of(type)) / device.memory_bytes * 1e6;
  best.microseconds = best.launch_us + std::max(best.tiles_us, best.memory_us) + best.splits_us;
  return best;
}

std::string to_string(const WeightGradPlan& plan) {
  if (!plan.tiles) return "no tiles fit";
  std::string text = std::string(plan.joint ? "weight_grad_1x1_sm80, " : "weight_grad_sm80, ") +
                     plan.tiles + " tiles";
  int64_t items = 0;
  for (int i = 0; i < kJobs; ++i) {
    if (plan.items[i] == 0) continue;
    const PixelTile& tile = plan.pixel_tiles[i];
    items += plan.items[i];
    text += std::string(", ") + kJobNames[i] + ' ' + std::to_string(tile.width) + 'x' +
            std::to_string(tile.height) + (plan.joint ? " quads and stages" : " pixels");
    if (tile.splits > 1) text += " in " + std::to_string(tile.splits) + " splits";
  }
  char times[200];
  std::snprintf(times, sizeof(times),
                "; predicted %.1f us: launch %.1f, tiles %.1f (tensor cores %.1f, shared memory "
                "%.1f, L2 %.1f), memory %.1f, splits %.1f",
                plan.microseconds, plan.launch_us, plan.tiles_us, plan.mma_us, plan.shared_us,
                plan.l2_us, plan.memory_us, plan.splits_us);
  return text + ", " + std::to_string(items) + (items == 1 ? " block" : " blocks") + times;
}

}  // namespace octconv
