// Launches what adds up the splits of a weight gradient.
#pragma once

#include <cuda_runtime.h>

#include "kernels/weight_grad_splits.cuh"
#include "launch/launch.cuh"

namespace octconv {

// Behind the launch that has split them; none where nothing was.
template <typename T>
void launch_splits(const WeightGradParams& params, cudaStream_t stream) {
  if (params.positions == 0) return;
  launch(add_weight_grad_splits<T>, splits_shape(params), params, stream);
}

}  // namespace octconv
