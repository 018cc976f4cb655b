// The machine code of the fused forward kernel for Hopper, for the tests that read it:
// instantiations with the fewest and the most registers for sums, in both directions and with an
// epilogue, and of tiles that take windows through registers.
#include "dtype.h"
#include "kernels/forward_sm90.cuh"

namespace octconv {

template __global__ void forward_sm90<Sm90Traits<Float16, false, 0, 32, 32>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<BFloat16, false, 0, 64, 64>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<BFloat16, false, 2, 64, 160>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<BFloat16, false, 3, 32, 32>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<BFloat16, true, 4, 32, 32>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<Float16, false, 4, 64, 64>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<Float16, true, 5, 64, 64>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<BFloat16, false, 5, 64, 64, true>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<Float16, true, 0, 32, 32>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<BFloat16, true, 0, 64, 64>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<BFloat16, true, 2, 64, 160>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<Float16, false, 0, 32, 32, true>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<BFloat16, false, 0, 64, 64, true>>(
    const __grid_constant__ ForwardSm90Params);
template __global__ void forward_sm90<Sm90Traits<BFloat16, false, 0, 64, 160, true>>(
    const __grid_constant__ ForwardSm90Params);

}  // namespace octconv
