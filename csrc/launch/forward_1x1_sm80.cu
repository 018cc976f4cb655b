// Launches forward_1x1_sm80 as planned.
#include <cstring>

#include "kernels/forward_1x1_sm80.cuh"
#include "launch/forward_sm80.h"
#include "launch/launch.cuh"
#include "setup/forward_1x1_sm80.h"

namespace octconv {
namespace {

template <typename Traits>
void launch_joint_tiles(const Launch& call) {
  const Forward1x1Params params =
      forward_1x1_params(call.problem, limits_1x1<Traits>(), call.plan.joint, call.pointers);
  const LaunchShape shape{static_cast<uint32_t>(call.plan.blocks), Traits::kThreads, 1,
                          static_cast<uint32_t>(call.plan.shared_bytes)};
  launch(forward_1x1_sm80<Traits>, shape, params, call.stream);
}

}  // namespace

template <typename T>
void launch_forward_1x1_sm80(const Launch& call) {
  int found = 0;
  const auto visit = [&](auto traits) {
    using Traits = decltype(traits);
    if (std::strcmp(call.plan.tiles, Traits::Tiles::kName) != 0) return;
    launch_joint_tiles<Traits>(call);
    ++found;
  };
  call.problem.input_grad ? for_each_forward_1x1<T, true>(visit)
                          : for_each_forward_1x1<T, false>(visit);
  check_one_kernel(found);
}

template void launch_forward_1x1_sm80<BFloat16>(const Launch&);
template void launch_forward_1x1_sm80<Float16>(const Launch&);
template void launch_forward_1x1_sm80<TFloat32>(const Launch&);

}  // namespace octconv
