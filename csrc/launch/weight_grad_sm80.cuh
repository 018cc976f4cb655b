// Launches weight_grad_sm80 or weight_grad_1x1_sm80 as planned, and what adds up their splits.
#pragma once

#include <cstring>

#include "kernels/weight_grad_1x1_sm80.cuh"
#include "kernels/weight_grad_sm80.cuh"
#include "launch/launch.cuh"
#include "launch/weight_grad_sm80.h"
#include "launch/weight_grad_splits.cuh"
#include "setup/weight_grad_1x1_sm80.h"

namespace octconv {

// Params are WeightGradParams, or have them at their begin.
template <typename T, typename Params>
void launch_weight_grad_kernel(const WeightGradLaunch& call, void (*kernel)(Params), Params params,
                               int64_t blocks, uint32_t threads) {
  params.partial_sums = call.partial_sums;
  launch(kernel,
         {static_cast<uint32_t>(blocks), threads, 1, static_cast<uint32_t>(params.shared_bytes)},
         params, call.stream);
  launch_splits<T>(params, call.stream);
}

// How many kernels it launched.
template <typename T>
int launch_weight_grad_tiles(const WeightGradLaunch& call) {
  const int32_t taps = call.problem.kernel;
  int found = 0;
  for_each_weight_grad<T>(taps, [&](auto traits, const char* name) {
    using Traits = decltype(traits);
    if (std::strcmp(call.plan.tiles, name) != 0) return;
    const WeightGradParams params = weight_grad_params(
        call.problem, limits_of_grad<Traits>(name, taps), call.plan.pixel_tiles, call.pointers);
    launch_weight_grad_kernel<T>(call, weight_grad_sm80<Traits>, params, params.items(),
                                 Traits::kThreads);
    ++found;
  });
  return found;
}

template <typename T>
int launch_joint_grad(const WeightGradLaunch& call) {
  int found = 0;
  for_each_joint_grad<T>([&](auto traits, const char* name) {
    using Traits = decltype(traits);
    if (std::strcmp(call.plan.tiles, name) != 0) return;
    const JointGradParams params =
        joint_grad_params(call.problem, limits_of_joint_grad<Traits>(name),
                          JointGradShape::of(call.plan.pixel_tiles), call.pointers);
    launch_weight_grad_kernel<T>(call, weight_grad_1x1_sm80<Traits>, params, params.blocks(),
                                 Traits::kThreads);
    ++found;
  });
  return found;
}

template <typename T>
void launch_weight_grad_sm80(const WeightGradLaunch& call) {
  const int joint = call.problem.kernel == 1 ? launch_joint_grad<T>(call) : 0;
  check_one_kernel(joint + launch_weight_grad_tiles<T>(call));
}

}  // namespace octconv
