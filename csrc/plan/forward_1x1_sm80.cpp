#include "plan/forward_1x1_sm80.h"

#include <algorithm>

#include "dtype.h"
#include "plan/forward_schedule.h"
#include "problem.h"

namespace octconv {
namespace {

// Clocks, all of them assumed.
constexpr double kLatency = 600;  // from a copy's issue to the data in shared memory
constexpr double kTurn = 60;      // to wait, to meet, and to find the operands of the products
constexpr double kItem = 400;     // to find an item's pixels and bias, and for its first wait
constexpr double kStore = 15;     // of a multiprocessor for a warp's 512 bytes: 60 instructions

constexpr int32_t kSchedulers = 4;  // of a multiprocessor

// The inner loops of forward_1x1_sm80.cuh: what all warps do in the steps of one input. m16: the
// products' m16 tiles, `cells` those that are loaded.
struct InputCount {
  int64_t hmma, ldmatrix, word_loads;
};
InputCount input_count(const Forward1x1Limits& f, int32_t warps, int32_t steps, int32_t cells,
                       int32_t m16, int32_t parts) {
  const int64_t tiles_n = f.part_columns / 8, all_steps = int64_t{warps} * steps;
  const int64_t fragments = all_steps * parts * tiles_n / 2;  // of the weight
  const bool by_words = f.transposed && f.of_chunks.element_bytes == 4;
  return {all_steps * m16 * tiles_n, all_steps * cells + (by_words ? 0 : fragments),
          by_words ? 4 * fragments : 0};
}

template <typename T>
std::vector<Forward1x1Limits> instances_of(const Problem& problem) {
  std::vector<Forward1x1Limits> all;
  const auto add = [&](auto traits) { all.push_back(limits_1x1<decltype(traits)>()); };
  problem.input_grad ? for_each_forward_1x1<T, true>(add) : for_each_forward_1x1<T, false>(add);
  return all;
}

Plan plan_of(const Forward1x1Limits& limits, const JointShape& shape, const Problem& problem,
             const DeviceFacts& device) {
  const Forward1x1Params params = joint_params(problem, limits, shape);
  Plan plan{};
  plan.kernel = "forward_1x1_sm80";
  plan.tiles = limits.name;
  plan.joint = shape;
  plan.joint_items = params.items;
  plan.blocks = std::min(params.items, device.multiprocessors);
  plan.blocks_per_multiprocessor = 1;  // its registers fill one
  plan.shared_bytes = params.stages * limits.stage_bytes;
  plan.launch_us = device.launch_us;

  const double us = 1e6 / device.clock;
  const double share = us / device.multiprocessors * params.items / params.tiles_columns;
  Schedule schedule{{}, {}, params.items, 0, plan.blocks, device.multiprocessors, 0, kLatency};
  for (int32_t column = 0; column < params.tiles_columns; ++column) {
    const TileCost cost = joint_cost(limits, device, params, column);
    schedule.high.push_back({cost.clocks, cost.busy()});
    plan.mma_us += cost.mma_clocks * share;
    plan.shared_us += cost.shared_clocks * share;
    plan.l2_us += cost.l2_clocks * share;
  }
  plan.tiles_us = makespan(schedule) * us;
  return plan;
}

}  // namespace

std::vector<Forward1x1Limits> joint_instances_for(const Problem& problem, ElementType type) {
  if (type == ElementType::kBFloat16) return instances_of<BFloat16>(problem);
  if (type == ElementType::kFloat16) return instances_of<Float16>(problem);
  return instances_of<TFloat32>(problem);
}

Forward1x1Params joint_params(const Problem& problem, const Forward1x1Limits& limits,
                              const JointShape& shape) {
  ForwardPointers pointers{};
  pointers.weight = &problem;  // nothing is read there, but offsets from null are not defined
  return forward_1x1_params(problem, limits, shape, pointers);
}

TileCost joint_cost(const Forward1x1Limits& f, const DeviceFacts& d, const Forward1x1Params& p,
                    int32_t column_tile) {
  const int32_t element_bytes = f.of_chunks.element_bytes, chunk_bytes = f.of_chunks.chunk_bytes;
  const int32_t warps = p.tile_quads / 16;  // that multiply
  const int32_t spatial = p.items / p.tiles_columns;
  const double quads = double(p.quads) / spatial;
  const double pixels = double(p.batch) * p.grid_height * p.grid_width / spatial;
  const int32_t first = column_tile * f.part_columns;
  const int32_t high = std::clamp(p.high.columns - first, 0, f.part_columns);
  const int32_t low = std::clamp(p.low.columns - first, 0, f.part_columns);
  const int32_t parts = (high > 0) + (low > 0);

  TileCost cost{};
  double compute = kItem, latency_bound = 0;
  for (int input = 0; input < 2; ++input) {                                // low, high
    const int32_t bytes = p.high.segment[input].channels * element_bytes;  // of a cell
    const int32_t chunks = p.high.chunks[input], cells = input == 0 ? 1 : 4;
    if (chunks == 0) continue;
    const InputCount count =
        input_count(f, warps, divide_up(bytes, 32), cells, (high > 0) * cells + (low > 0), parts);
    // A warp copies its 16 bytes 32 times, also where nothing is to be read.
    const int64_t copies =
        int64_t{chunks} * (f.quads * cells + 2 * f.part_columns) * chunk_bytes / 512;
    const double read = (input == 0 ? quads : pixels) * bytes + double(bytes) * (high + low);
    cost.hmma += count.hmma;
    cost.ldmatrix += count.ldmatrix;
    cost.word_loads += count.word_loads;
    cost.copies += copies;
    cost.read_bytes += read;
    const double mma = count.hmma / (d.hmma * std::min(warps, kSchedulers) / kSchedulers);
    const double shared = (4 * (count.ldmatrix + copies) + count.word_loads) / d.wavefronts;
    compute += std::max(mma, shared) + chunks * kTurn;
    // So many chunks are under way at a time.
    latency_bound += (chunks * kLatency + read / d.l2_bytes) / (p.stages - 1);
  }
  const double stored = (pixels * high + quads * low) * element_bytes;
  cost.written_bytes = stored;
  cost.ldmatrix_wavefronts = 4 * cost.ldmatrix;
  cost.fill_wavefronts = 4 * cost.copies;
  cost.mma_clocks = cost.hmma / d.hmma;
  cost.shared_clocks =
      (cost.ldmatrix_wavefronts + cost.word_loads + cost.fill_wavefronts) / d.wavefronts;
  cost.l2_clocks = (cost.read_bytes + cost.written_bytes) / d.l2_bytes;
  // Loads go on while a block multiplies, and while it stores.
  cost.clocks = std::max({compute + stored / 512 * kStore, cost.l2_clocks, latency_bound});
  return cost;
}

Plan plan_1x1(const Problem& problem, ElementType type, const DeviceFacts& device) {
  Plan best{};
  if (!serves_1x1(problem)) return best;
  for (const Forward1x1Limits& limits : joint_instances_for(problem, type)) {
    const int32_t stages = std::min(kMostStages, device.shared_per_block / limits.stage_bytes);
    if (stages < kLeastStages) continue;
    // Tiles of fewer quads may leave fewer multiprocessors idle.
    for (int32_t quads = limits.quads; quads > 0; quads -= 16) {
      const Plan plan = plan_of(limits, {quads, stages}, problem, device);
      if (!best.tiles || plan.cheaper_than(best)) best = plan;
    }
  }
  return best;
}

}  // namespace octconv
