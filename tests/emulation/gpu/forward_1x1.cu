// The machine code of the kernel for 1x1, for the tests that read it: one of each kind.
#include "kernels/forward_1x1_sm80.cuh"

namespace octconv {

template __global__ void forward_1x1_sm80<Forward1x1Traits<BFloat16, false, Joint64Tiles, true>>(
    const __grid_constant__ Forward1x1Params);
template __global__ void forward_1x1_sm80<Forward1x1Traits<Float16, true, Joint64Tiles>>(
    const __grid_constant__ Forward1x1Params);
template __global__ void forward_1x1_sm80<Forward1x1Traits<TFloat32, true, Joint32Tiles>>(
    const __grid_constant__ Forward1x1Params);

}  // namespace octconv
