// Launches forward_1x1_sm90 as planned.
#pragma once

#include "kernels/forward_1x1_sm90.cuh"
#include "launch/forward_sm90.h"
#include "launch/launch.cuh"
#include "traits/forward_1x1_sm90.h"

namespace octconv {

// Calls run(kernel, shared bytes) with the instantiation of a plan.
template <typename T, typename Run>
void with_kernel_1x1_sm90(const PlanSm90& plan, KernelUse use, const Run& run) {
  const JointCut& cut = plan.joint;
  const auto visit = [&](auto traits) {
    using Traits = decltype(traits);
    if (Traits::kColumns == cut.columns && Traits::kColumnGroups == cut.column_groups) {
      run(forward_1x1_sm90<Traits>, Traits::shared_bytes(cut.boxes, cut.slots));
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

template <typename T>
void launch_1x1_sm90(const PlanSm90& plan, const JointSm90Params& params, KernelUse use,
                     cudaStream_t stream) {
  with_kernel_1x1_sm90<T>(plan, use, [&](auto kernel, int32_t bytes) {
    const LaunchShape shape{static_cast<uint32_t>(plan.blocks), kJointThreads, 1,
                            static_cast<uint32_t>(bytes)};
    launch(kernel, shape, params, stream);
  });
}

template <typename T>
bool has_code_1x1_sm90(const PlanSm90& plan, KernelUse use) {
  bool has_code = false;
  with_kernel_1x1_sm90<T>(
      plan, use, [&](auto kernel, int32_t) { has_code = registers_of(kernel) == kJointRegisters; });
  return has_code;
}

}  // namespace octconv
