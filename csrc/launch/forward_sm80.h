// The launches of the fused forward kernels, as their operators call them.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "dtype.h"
#include "launch/answer.h"
#include "plan/forward_sm80.h"
#include "problem.h"
#include "setup/forward_sm80.h"

namespace octconv {

struct Launch {
  const Problem& problem;
  const Plan& plan;
  const ForwardPointers& pointers;
  float* partial_sums;  // as many as planned
  uint32_t* arrivals;   // likewise, zeros
  cudaStream_t stream;
};

// T is BFloat16, Float16 or TFloat32, each compiled in a file of its own, side by side; kInputGrad
// is the problem's.
template <typename T, bool kInputGrad>
void launch_forward_sm80(const Launch& launch);

// Whether the current device runs code of forward_sm80 whose threads pass registers on; other code
// of kernels that need it does nothing.
Answer code_passes_registers();

// Of plans with joint tiles.
template <typename T>
void launch_forward_1x1_sm80(const Launch& launch);

}  // namespace octconv
