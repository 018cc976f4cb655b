// The launches of forward_sm90 and forward_1x1_sm90, as their operators call them.
#pragma once

#include <cuda_runtime.h>

#include "dtype.h"
#include "launch/answer.h"
#include "params/forward_1x1_sm90.h"
#include "params/forward_sm90.h"
#include "plan/forward_sm90.h"

namespace octconv {

// T is BFloat16 or Float16. Each direction of each is compiled in a file of its own, side by side.
template <typename T, bool kInputGrad>
void launch_sm90(const PlanSm90& plan, const ForwardSm90Params& params, cudaStream_t stream);

// Whether the library has the kernel's code for the current device, with the registers that its
// warpgroups pass on to each other, and that has room for all clusters.
template <typename T, bool kInputGrad>
Answer can_run_sm90(const PlanSm90& plan);

// The same two of forward_1x1_sm90.
template <typename T, bool kInputGrad>
void launch_1x1_sm90(const PlanSm90& plan, const JointSm90Params& params, cudaStream_t stream);
template <typename T, bool kInputGrad>
Answer can_run_1x1_sm90(const PlanSm90& plan);

}  // namespace octconv
