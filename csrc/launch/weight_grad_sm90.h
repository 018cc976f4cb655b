// The launches of weight_grad_sm90 and weight_grad_1x1_sm90, as their operator calls them.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "dtype.h"
#include "launch/answer.h"
#include "params/weight_grad_1x1_sm90.h"
#include "params/weight_grad_sm90.h"

namespace octconv {

// T is BFloat16 or Float16. Each is compiled in a file of its own, side by side.
template <typename T>
void launch_grad_sm90(const WeightGradSm90Params& params, cudaStream_t stream);
template <typename T>
void launch_joint_grad_sm90(const JointGradSm90Params& params, cudaStream_t stream);

// Whether the library has the kernel's code for the current device, with the registers that its
// warpgroups pass on to each other. Tiles of weight_grad_1x1_sm90 go by their rows.
template <typename T>
Answer has_grad_code_sm90(int32_t tile);
template <typename T>
Answer has_joint_grad_code_sm90(int32_t rows);

}  // namespace octconv
