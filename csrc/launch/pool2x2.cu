// Launches pool2x2 and pool2x2_input_grad.
#include "kernels/pool2x2.cuh"
#include "kernels/pool2x2_input_grad.cuh"
#include "launch/launch.cuh"
#include "launch/pool2x2.h"

namespace octconv {

cudaError_t load_pool2x2() {
  cudaFuncAttributes attributes;
  return load(pool2x2<Pool2x2Traits<float, 1>>, attributes);
}

template <typename T>
void launch_pool2x2(const Pool2x2Params& p, cudaStream_t stream) {
  constexpr int kVector = 16 / sizeof(T);
  if (pool2x2_vectorises(p, sizeof(T))) {
    launch(pool2x2<Pool2x2Traits<T, kVector>>, pool2x2_shape(p, kVector), p, stream);
  } else {
    launch(pool2x2<Pool2x2Traits<T, 1>>, pool2x2_shape(p, 1), p, stream);
  }
}

template <typename T>
void launch_pool2x2_input_grad(const Pool2x2GradParams& p, cudaStream_t stream) {
  constexpr int kVector = 16 / sizeof(T);
  if (p.high_channels % kVector == 0 && p.low_channels % kVector == 0) {
    launch(pool2x2_input_grad<Pool2x2Traits<T, kVector>>, pool2x2_shape(p, kVector), p, stream);
  } else {
    launch(pool2x2_input_grad<Pool2x2Traits<T, 1>>, pool2x2_shape(p, 1), p, stream);
  }
}

template void launch_pool2x2<float>(const Pool2x2Params&, cudaStream_t);
template void launch_pool2x2<double>(const Pool2x2Params&, cudaStream_t);
template void launch_pool2x2<BFloat16>(const Pool2x2Params&, cudaStream_t);
template void launch_pool2x2<Float16>(const Pool2x2Params&, cudaStream_t);
template void launch_pool2x2_input_grad<float>(const Pool2x2GradParams&, cudaStream_t);
template void launch_pool2x2_input_grad<double>(const Pool2x2GradParams&, cudaStream_t);
template void launch_pool2x2_input_grad<BFloat16>(const Pool2x2GradParams&, cudaStream_t);
template void launch_pool2x2_input_grad<Float16>(const Pool2x2GradParams&, cudaStream_t);

}  // namespace octconv
