// The launch of weight_grad_sm80, as its operator calls it.
#pragma once

#include <cuda_runtime.h>

#include "plan/weight_grad_sm80.h"
#include "problem.h"
#include "setup/weight_grad_sm80.h"

namespace octconv {

struct WeightGradLaunch {
  const Problem& problem;
  const WeightGradPlan& plan;
  const WeightGradPointers& pointers;
  float* partial_sums;  // as many as planned
  cudaStream_t stream;
};

// T is BFloat16, Float16 or TFloat32, each compiled in a file of its own, side by side.
template <typename T>
void launch_weight_grad_sm80(const WeightGradLaunch& launch);

}  // namespace octconv
