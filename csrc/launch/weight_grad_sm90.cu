// Launches weight_grad_sm90 as planned, and what adds up its splits.
#include "kernels/weight_grad_sm90.cuh"
#include "launch/launch.cuh"
#include "launch/weight_grad_sm90.h"
#include "launch/weight_grad_splits.cuh"

namespace octconv {
namespace {

// Calls run(kernel) with the instantiation for tiles of so many channels; how often.
template <typename T, typename Run>
int with_grad_kernel_sm90(int32_t tile, const Run& run) {
  int found = 0;
  for_each_grad_sm90<T>([&](auto traits) {
    if (decltype(traits)::kTile != tile) return;
    run(weight_grad_sm90<decltype(traits)>);
    ++found;
  });
  return found;
}

}  // namespace

template <typename T>
void launch_grad_sm90(const WeightGradSm90Params& params, cudaStream_t stream) {
  const LaunchShape shape{static_cast<uint32_t>(params.items()), kGradSm90Threads, 1,
                          static_cast<uint32_t>(params.shared_bytes)};
  check_one_kernel(with_grad_kernel_sm90<T>(
      params.tile_rows, [&](auto kernel) { launch(kernel, shape, params, stream); }));
  launch_splits<T>(params, stream);
}

template <typename T>
Answer has_grad_code_sm90(int32_t tile) {
  Answer has_code = false;
  with_grad_kernel_sm90<T>(
      tile, [&](auto kernel) { has_code = has_registers(kernel, kGradSm90Registers); });
  return has_code;
}

template void launch_grad_sm90<BFloat16>(const WeightGradSm90Params&, cudaStream_t);
template void launch_grad_sm90<Float16>(const WeightGradSm90Params&, cudaStream_t);

template Answer has_grad_code_sm90<BFloat16>(int32_t);
template Answer has_grad_code_sm90<Float16>(int32_t);

}  // namespace octconv
