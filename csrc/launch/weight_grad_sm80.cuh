// Launches weight_grad_sm80 as planned, and what adds up its splits.
#pragma once

#include <cstring>

#include "kernels/weight_grad_sm80.cuh"
#include "kernels/weight_grad_splits.cuh"
#include "launch/launch.cuh"
#include "launch/weight_grad_sm80.h"

namespace octconv {

template <typename T, int kKernel>
void launch_weight_grad_kernel(const WeightGradLaunch& call) {
  for_each_weight_grad<T, kKernel>([&](auto traits, const char* name) {
    using Traits = decltype(traits);
    if (std::strcmp(call.plan.tiles, name) != 0) return;
    WeightGradParams params = weight_grad_params(call.problem, limits_of_grad<Traits>(name),
                                                 call.plan.pixel_tiles, call.pointers);
    params.partial_sums = call.partial_sums;
    const auto kernel = weight_grad_sm80<Traits>;
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, params.shared_bytes);
    launch(kernel,
           {static_cast<uint32_t>(params.items()), Traits::kThreads, 1,
            static_cast<uint32_t>(params.shared_bytes)},
           params, call.stream);
    if (call.plan.partial_sums > 0) {
      launch(add_weight_grad_splits<T>, splits_shape(params), params, call.stream);
    }
  });
}

template <typename T>
void launch_weight_grad_sm80(const WeightGradLaunch& call) {
  switch (call.problem.kernel) {
    case 1:
      return launch_weight_grad_kernel<T, 1>(call);
    case 3:
      return launch_weight_grad_kernel<T, 3>(call);
    case 5:
      return launch_weight_grad_kernel<T, 5>(call);
    default:
      return launch_weight_grad_kernel<T, 7>(call);
  }
}

}  // namespace octconv
