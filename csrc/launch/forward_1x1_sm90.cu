// Launches forward_1x1_sm90 as planned.
#include "kernels/forward_1x1_sm90.cuh"
#include "launch/forward_sm90.h"
#include "launch/launch.cuh"
#include "traits/forward_1x1_sm90.h"

namespace octconv {
namespace {

// Calls run(kernel, shape) with the instantiation of a plan; how often.
template <typename T, bool kInputGrad, typename Run>
int with_kernel_1x1_sm90(const PlanSm90& plan, const Run& run) {
  const JointCut& cut = plan.joint;
  int found = 0;
  for_each_joint_sm90<T, kInputGrad>([&](auto traits) {
    using Traits = decltype(traits);
    if (Traits::kColumns == cut.columns && Traits::kColumnGroups == cut.column_groups) {
      const int32_t bytes = Traits::shared_bytes(cut.boxes, cut.slots);
      run(forward_1x1_sm90<Traits>,
          LaunchShape{static_cast<uint32_t>(plan.blocks), kJointThreads, 1,
                      static_cast<uint32_t>(bytes), static_cast<uint32_t>(cut.cluster()),
                      plan.overlaps});
      ++found;
    }
  });
  return found;
}

}  // namespace

template <typename T, bool kInputGrad>
void launch_1x1_sm90(const PlanSm90& plan, const JointSm90Params& params, cudaStream_t stream) {
  check_one_kernel(with_kernel_1x1_sm90<T, kInputGrad>(
      plan, [&](auto kernel, const LaunchShape& shape) { launch(kernel, shape, params, stream); }));
}

template <typename T, bool kInputGrad>
Answer can_run_1x1_sm90(const PlanSm90& plan) {
  Answer can_run = false;
  with_kernel_1x1_sm90<T, kInputGrad>(plan, [&](auto kernel, const LaunchShape& shape) {
    can_run = has_registers(kernel, kJointRegisters);
    if (can_run == true && plan.joint.cluster() > 1) can_run = have_room(kernel, shape);
  });
  return can_run;
}

template void launch_1x1_sm90<BFloat16, false>(const PlanSm90&, const JointSm90Params&,
                                               cudaStream_t);
template void launch_1x1_sm90<BFloat16, true>(const PlanSm90&, const JointSm90Params&,
                                              cudaStream_t);
template void launch_1x1_sm90<Float16, false>(const PlanSm90&, const JointSm90Params&,
                                              cudaStream_t);
template void launch_1x1_sm90<Float16, true>(const PlanSm90&, const JointSm90Params&, cudaStream_t);

template Answer can_run_1x1_sm90<BFloat16, false>(const PlanSm90&);
template Answer can_run_1x1_sm90<BFloat16, true>(const PlanSm90&);
template Answer can_run_1x1_sm90<Float16, false>(const PlanSm90&);
template Answer can_run_1x1_sm90<Float16, true>(const PlanSm90&);

}  // namespace octconv
