#include "plan/weight_grad_1x1_sm80.h"

#include <algorithm>

#include "dtype.h"

namespace octconv {
namespace {

// Clocks, all of them assumed.
constexpr double kLatency = 1000;  // from a copy's issue to the data in shared memory, under load
constexpr double kTurn = 250;      // to wait, to meet, and to issue the copies of a tile
constexpr double kItem = 2000;     // zeros, the first wait and the end

constexpr int64_t kWaves[] = {1, 2, 4};  // of items, that splits may come to

WeightGradPlan plan_of(const JointGradLimits& limits, const Problem& problem,
                       const DeviceFacts& device, const JointGradShape& shape) {
  const JointGradParams p = joint_grad_counts(problem, limits, shape);
  const PixelTileCost cost = joint_tile_cost(limits, device, p);
  const WeightGradLimits& f = limits.of_tiles;
  WeightGradPlan plan{};
  plan.joint = true;
  plan.tiles = f.name;
  plan.pixel_tiles = shape.pixel_tiles(limits);
  for (int i = 0; i < kJobs; ++i) plan.items[i] = p.job[i].items();
  plan.partial_sums = p.sums;
  plan.shared_bytes = p.shared_bytes;

  const double us = 1e6 / device.clock;
  const double turns = double(p.tiles) * p.quad_tiles / device.multiprocessors;
  plan.mma_us = turns * cost.mma_clocks * us;
  plan.shared_us = turns * cost.shared_clocks * us;
  plan.l2_us = turns * cost.l2_clocks * us;
  // The sums of an item are handed over among groups, and stored.
  const double sums = 4.0 * f.rows * f.columns * sizeof(float);
  const double end = 2 * (f.groups - 1) * sums / 128 / device.wavefronts + sums / device.l2_bytes;
  const double item = kItem + kLatency + divide_up(p.quad_tiles, p.splits) * cost.clocks + end;
  plan.tiles_us = divide_up(p.blocks(), device.multiprocessors) * item * us;
  plan.splits_us = splits_clocks(device, p) * us;
  plan.launch_us = device.launch_us * (plan.partial_sums > 0 ? 2 : 1);
  return plan;
}

}  // namespace

std::vector<JointGradLimits> joint_grads_for(ElementType type) {
  std::vector<JointGradLimits> all;
  const auto add = [&](auto traits, const char* name) {
    all.push_back(limits_of_joint_grad<decltype(traits)>(name));
  };
  if (type == ElementType::kBFloat16) for_each_joint_grad<BFloat16>(add);
  if (type == ElementType::kFloat16) for_each_joint_grad<Float16>(add);
  return all;
}

JointGradParams joint_grad_counts(const Problem& problem, const JointGradLimits& limits,
                                  const JointGradShape& shape) {
  return joint_grad_params(problem, limits, shape, pointers_of_plan());
}

PixelTileCost joint_tile_cost(const JointGradLimits& limits, const DeviceFacts& d,
                              const JointGradParams& p) {
  const WeightGradLimits& f = limits.of_tiles;
  // The loops of grad_products_1x1.cuh: fragments of the high maps in fours, each also pooled.
  const int64_t steps = int64_t{limits.quads} / 16 * f.warps_m * f.warps_n;
  const int64_t fragments = f.tiles_m + f.tiles_n / 2, products = f.tiles_m * f.tiles_n;
  const int64_t cell_bytes = int64_t{f.rows + f.columns} * f.element_bytes;
  PixelTileCost cost{};
  cost.hmma = steps * ((4 + 3) * products + 4 * fragments);
  cost.ldmatrix = steps * (4 + 1) * fragments;
  cost.copies = 5 * limits.quads * cell_bytes / 512;  // also of channels that are not there
  cost.fill_wavefronts = 4 * cost.copies;
  const int64_t tiles_down = p.tiles / p.tiles_across;
  const double high = double(p.batch) * p.height * p.width, low = p.quads;
  const double reads = (high * p.dy(false).channels + low * p.dy(true).channels) * p.tiles_across +
                       (high * p.x(false).channels + low * p.x(true).channels) * tiles_down;
  cost.read_bytes = reads * f.element_bytes / (double(p.tiles) * p.quad_tiles);
  cost.mma_clocks = cost.hmma / d.hmma;
  cost.shared_clocks = (4 * cost.ldmatrix + cost.fill_wavefronts) / d.wavefronts;
  cost.l2_clocks = cost.read_bytes / d.l2_bytes;
  const double landing = kLatency / (p.stages - 1) + cost.l2_clocks;
  cost.clocks = std::max(kTurn + std::max(cost.mma_clocks, cost.shared_clocks), landing);
  return cost;
}

WeightGradPlan plan_joint_grad(const Problem& problem, ElementType type,
                               const DeviceFacts& device) {
  WeightGradPlan best{};
  if (!serves_joint_grad(problem)) return best;
  for (const JointGradLimits& limits : joint_grads_for(type)) {
    const int32_t stages = joint_grad_stages(limits, device.shared_per_block);
    if (stages == 0) continue;
    const JointGradParams p = joint_grad_counts(problem, limits, {stages, 1});
    for (const int64_t waves : kWaves) {
      const auto splits = static_cast<int32_t>(
          std::clamp<int64_t>(waves * device.multiprocessors / p.tiles, 1, p.quad_tiles));
      const WeightGradPlan plan = plan_of(limits, problem, device, {stages, splits});
      const int64_t partial_bytes = plan.partial_sums * int64_t{sizeof(float)};
      if (partial_bytes > kMostPartialBytes * device.multiprocessors) continue;
      if (!best.tiles || plan.cheaper_than(best)) best = plan;
    }
  }
  return best;
}

}  // namespace octconv
