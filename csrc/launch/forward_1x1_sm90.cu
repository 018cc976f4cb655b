// Launches forward_1x1_sm90 as planned.
#include "kernels/forward_1x1_sm90.cuh"
#include "launch/forward_sm90.h"
#include "launch/launch.cuh"
#include "traits/forward_1x1_sm90.h"

namespace octconv {
namespace {

// Calls run(kernel, shape) with the instantiation of a plan.
template <typename T, typename Run>
void with_kernel_1x1_sm90(const PlanSm90& plan, KernelUse use, const Run& run) {
  const JointCut& cut = plan.joint;
  const auto visit = [&](auto traits) {
    using Traits = decltype(traits);
    if (Traits::kColumns == cut.columns && Traits::kColumnGroups == cut.column_groups) {
      const int32_t bytes = Traits::shared_bytes(cut.boxes, cut.slots);
      run(forward_1x1_sm90<Traits>,
          LaunchShape{static_cast<uint32_t>(plan.blocks), kJointThreads, 1,
                      static_cast<uint32_t>(bytes), static_cast<uint32_t>(cut.splits), plan.trial});
    }
  };
  switch (use) {
    case KernelUse::kForward:
      return for_each_joint_sm90<T, false>(visit);
    case KernelUse::kInference:
      return for_each_joint_sm90<T, false, true>(visit);
    case KernelUse::kInputGrad:
      return for_each_joint_sm90<T, true>(visit);
  }
}

}  // namespace

template <typename T>
void launch_1x1_sm90(const PlanSm90& plan, const JointSm90Params& params, KernelUse use,
                     cudaStream_t stream) {
  with_kernel_1x1_sm90<T>(plan, use, [&](auto kernel, const LaunchShape& shape) {
    launch(kernel, shape, params, stream);
  });
}

template <typename T>
bool can_run_1x1_sm90(const PlanSm90& plan, KernelUse use) {
  bool can_run = false;
  with_kernel_1x1_sm90<T>(plan, use, [&](auto kernel, const LaunchShape& shape) {
    can_run = registers_of(kernel) == kJointRegisters &&
              (plan.joint.splits == 1 || have_room(kernel, shape));
  });
  return can_run;
}

template void launch_1x1_sm90<BFloat16>(const PlanSm90&, const JointSm90Params&, KernelUse,
                                        cudaStream_t);
template void launch_1x1_sm90<Float16>(const PlanSm90&, const JointSm90Params&, KernelUse,
                                       cudaStream_t);

template bool can_run_1x1_sm90<BFloat16>(const PlanSm90&, KernelUse);
template bool can_run_1x1_sm90<Float16>(const PlanSm90&, KernelUse);

}  // namespace octconv
