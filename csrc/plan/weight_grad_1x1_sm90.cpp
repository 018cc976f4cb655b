#include "plan/weight_grad_1x1_sm90.h"

#include <algorithm>
#include <sstream>

#include "dtype.h"
#include "plan/forward_sm80.h"
#include "plan/forward_sm90.h"
#include "plan/weight_grad_cost.h"
#include "setup/weight_grad_1x1_sm90.h"
#include "traits/weight_grad_1x1_sm90.h"

namespace octconv {
namespace {

// Clocks, but for the first; all of them assumed.
constexpr double kLaunchUs = 4;
constexpr double kLatency = 2500;     // from a copy's issue to its end, under load
constexpr double kGroup = 100;        // of a stage and a group of x, beyond its products
constexpr double kItem = 5000;        // until the first stage has come, and from the last one on
constexpr double kSharedBytes = 128;  // a clock

// Of a box in a block that has all channels of its tile.
template <typename Traits>
double stage_clocks(const DeviceFacts& device, double bytes) {
  constexpr int32_t kSteps = kJointGradQuads / 16;
  const double products = kJointGradMultipliers * Traits::kGroups * kPlanes * kSteps;
  const double multiply = products * product_clocks(Traits::kRows);
  // Of each product one operand, and the other on its way to registers; then what is copied.
  const double operands = products * (64 + Traits::kRows) * 32;
  const double shared = (operands + Traits::kStage) / kSharedBytes;
  return kGroup * Traits::kGroups +
         std::max({multiply, shared, bytes / device.l2_bytes, kLatency / (Traits::kStages - 1)});
}

// Bytes that the average box of a block brings.
double bytes_of_box(const Problem& p, const JointGradSm90Params& params) {
  const double high = double(p.batch) * p.height * p.width;
  const double low = double(p.batch) * p.quad_height() * p.quad_width();
  const double dy = high * p.high_out + low * p.low_out, x = high * p.high_in + low * p.low_in;
  const double tiles_down = params.tiles / params.tiles_across;
  return 2 * (dy * params.tiles_across + x * tiles_down) / (double(params.tiles) * params.boxes);
}

double microseconds(const Problem& p, const DeviceFacts& device, const JointGradSm90Params& params,
                    double box_clocks) {
  const bool split = params.sums > 0;
  const double sums = 4.0 * params.tile_rows * params.tile_columns * sizeof(float);
  const double item = kItem + divide_up(params.boxes, params.splits) * box_clocks +
                      (split ? sums / device.l2_bytes : 0);
  const double items = divide_up(params.blocks(), device.multiprocessors) * item / device.clock;
  const double memory = memory_bytes(p, 2) / device.memory_bytes;
  const double splits = splits_clocks(device, params) / device.clock;
  return (split ? 2 : 1) * kLaunchUs + 1e6 * (side_by_side(items, memory) + splits);
}

}  // namespace

GradPlanSm90 plan_joint_grad_sm90(const Problem& p, const DeviceFacts& device) {
  GradPlanSm90 best{};
  for_each_joint_grad_sm90<BFloat16>([&](auto traits) {  // the same for float16
    using Traits = decltype(traits);
    JointGradSm90Cut cut{Traits::kRows, Traits::kColumns, grad_box(p), 1};
    const WeightGradPointers pointers = pointers_of_plan();
    const JointGradSm90Params whole = joint_grad_sm90_params(p, cut, pointers);
    const double box_clocks = stage_clocks<Traits>(device, bytes_of_box(p, whole));
    const int32_t most = std::max(1, std::min(device.multiprocessors / whole.tiles, whole.boxes));
    for (cut.splits = 1; cut.splits <= most; ++cut.splits) {
      const JointGradSm90Params params = joint_grad_sm90_params(p, cut, pointers);
      const double us = microseconds(p, device, params, box_clocks);
      if (best.joint.splits > 0 && us >= best.microseconds) continue;
      best.joint = cut, best.microseconds = us;
      for (int i = 0; i < kJobs; ++i) best.items[i] = params.job[i].items();
      best.partial_sums = params.sums;
    }
  });
  return best;
}

std::string joint_text(const GradPlanSm90& plan) {
  const JointGradSm90Cut& cut = plan.joint;
  std::ostringstream text;
  text << "weight_grad_1x1_sm90, " << cut.rows << "x" << cut.columns << " tiles, " << cut.box.width
       << "x" << cut.box.height << " quads";
  if (cut.box.images > 1) text << " of " << cut.box.images << " images";
  if (cut.splits > 1) text << " in " << cut.splits << " splits";
  text << ", " << *std::max_element(plan.items, plan.items + kJobs) << " blocks";
  return text.str();
}

}  // namespace octconv
