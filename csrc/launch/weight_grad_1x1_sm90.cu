// Launches weight_grad_1x1_sm90 as planned, and what adds up its splits.
#include "kernels/weight_grad_1x1_sm90.cuh"
#include "launch/launch.cuh"
#include "launch/weight_grad_sm90.h"
#include "launch/weight_grad_splits.cuh"

namespace octconv {
namespace {

// Calls run(kernel) with the instantiation for tiles of so many rows; how often.
template <typename T, typename Run>
int with_joint_grad_kernel_sm90(int32_t rows, const Run& run) {
  int found = 0;
  for_each_joint_grad_sm90<T>([&](auto traits) {
    if (decltype(traits)::kRows != rows) return;
    run(weight_grad_1x1_sm90<decltype(traits)>);
    ++found;
  });
  return found;
}

}  // namespace

template <typename T>
void launch_joint_grad_sm90(const JointGradSm90Params& params, cudaStream_t stream) {
  const LaunchShape shape{static_cast<uint32_t>(params.blocks()), kJointGradThreads, 1,
                          static_cast<uint32_t>(params.shared_bytes)};
  check_one_kernel(with_joint_grad_kernel_sm90<T>(
      params.tile_rows, [&](auto kernel) { launch(kernel, shape, params, stream); }));
  launch_splits<T>(params, stream);
}

template <typename T>
Answer has_joint_grad_code_sm90(int32_t rows) {
  Answer has_code = false;
  with_joint_grad_kernel_sm90<T>(
      rows, [&](auto kernel) { has_code = has_registers(kernel, kJointGradRegisters); });
  return has_code;
}

template void launch_joint_grad_sm90<BFloat16>(const JointGradSm90Params&, cudaStream_t);
template void launch_joint_grad_sm90<Float16>(const JointGradSm90Params&, cudaStream_t);

template Answer has_joint_grad_code_sm90<BFloat16>(int32_t);
template Answer has_joint_grad_code_sm90<Float16>(int32_t);

}  // namespace octconv
