// The machine code of the fused forward kernel, for the tests that read it: one of each kind.
#include "kernels/forward_sm80.cuh"

namespace octconv {

template __global__ void forward_sm80<ForwardTraits<BFloat16, 3, false, WideTiles>>(
    const __grid_constant__ ForwardParams);
template __global__ void forward_sm80<ForwardTraits<Float16, 3, false, NarrowTiles>>(
    const __grid_constant__ ForwardParams);
template __global__ void forward_sm80<ForwardTraits<BFloat16, 3, true, WideTiles>>(
    const __grid_constant__ ForwardParams);
template __global__ void forward_sm80<ForwardTraits<BFloat16, 5, true, SmallTiles>>(
    const __grid_constant__ ForwardParams);
template __global__ void forward_sm80<ForwardTraits<TFloat32, 1, true, SmallTiles>>(
    const __grid_constant__ ForwardParams);

}  // namespace octconv
