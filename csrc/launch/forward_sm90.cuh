// Launches forward_sm90 as planned.
#pragma once

#include "kernels/forward_sm90.cuh"
#include "launch/forward_sm90.h"
#include "launch/launch.cuh"
#include "traits/forward_sm90.h"

namespace octconv {

// Calls run(kernel) with the kernel of a plan; how often.
template <typename T, bool kInputGrad, typename Run>
int with_kernel_sm90(const PlanSm90& plan, const Run& run) {
  int found = 0;
  for_each_sm90<T, kInputGrad>([&](auto kernel) {
    using Traits = decltype(kernel);
    if (Traits::kGeometry == plan.geometry && Traits::kHighColumns == plan.columns[kHigh] &&
        has_low_sm90<Traits>(plan.columns[kLow])) {
      run(forward_sm90<Traits>);
      ++found;
    }
  });
  return found;
}

inline LaunchShape shape_sm90(const PlanSm90& plan) {
  return {static_cast<uint32_t>(plan.blocks), kSm90Threads, 1, kSm90SharedBytes,
          static_cast<uint32_t>(plan.splits), plan.overlaps};
}

template <typename T, bool kInputGrad>
void launch_sm90(const PlanSm90& plan, const ForwardSm90Params& params, cudaStream_t stream) {
  check_one_kernel(with_kernel_sm90<T, kInputGrad>(
      plan, [&](auto kernel) { launch(kernel, shape_sm90(plan), params, stream); }));
}

template <typename T, bool kInputGrad>
Answer can_run_sm90(const PlanSm90& plan) {
  Answer can_run = false;
  with_kernel_sm90<T, kInputGrad>(plan, [&](auto kernel) {
    can_run = has_registers(kernel, kSm90Registers);
    if (can_run == true && plan.splits > 1) can_run = have_room(kernel, shape_sm90(plan));
  });
  return can_run;
}

}  // namespace octconv
