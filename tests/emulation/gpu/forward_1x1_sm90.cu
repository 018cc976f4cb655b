// The machine code of the fused 1x1 kernel for Hopper, for the tests that read it.
#include "dtype.h"
#include "kernels/forward_1x1_sm90.cuh"

namespace octconv {

template __global__ void forward_1x1_sm90<JointSm90Traits<BFloat16, false, 64, true>>(
    const __grid_constant__ JointSm90Params);
template __global__ void forward_1x1_sm90<JointSm90Traits<Float16, false, 32, false>>(
    const __grid_constant__ JointSm90Params);
template __global__ void forward_1x1_sm90<JointSm90Traits<BFloat16, true, 64, true>>(
    const __grid_constant__ JointSm90Params);

}  // namespace octconv
