// Launches forward_sm80 as planned.
#pragma once

#include <cstring>

#include "kernels/forward_sm80.cuh"
#include "launch/forward_sm80.h"
#include "launch/launch.cuh"
#include "setup/forward_sm80.h"

namespace octconv {

template <typename Traits>
void launch_tiles(const Launch& call) {
  const ForwardLimits limits = limits_of<Traits>(call.problem.kernel);
  ForwardParams params = forward_params(call.problem, limits, call.plan.high, call.plan.low,
                                        call.plan.weight_stages, call.pointers);
  params.rotation = call.plan.rotation;
  params.partial_sums = call.partial_sums;
  params.arrivals = call.arrivals;
  const LaunchShape shape{static_cast<uint32_t>(call.plan.blocks), Traits::kThreads, 1,
                          static_cast<uint32_t>(call.plan.shared_bytes)};
  launch(forward_sm80<Traits>, shape, params, call.stream);
}

template <typename T, bool kInputGrad>
void launch_forward_sm80(const Launch& call) {
  int found = 0;
  for_each_forward<T, kInputGrad>(call.problem.kernel, [&](auto traits) {
    using Traits = decltype(traits);
    if (std::strcmp(call.plan.tiles, Traits::Tiles::kName) != 0) return;
    launch_tiles<Traits>(call);
    ++found;
  });
  check_one_kernel(found);
}

}  // namespace octconv
