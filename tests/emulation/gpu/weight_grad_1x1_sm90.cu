// The machine code of the fused 1x1 weight gradient for Hopper, for the tests that read it.
#include "dtype.h"
#include "kernels/weight_grad_1x1_sm90.cuh"

namespace octconv {

template __global__ void weight_grad_1x1_sm90<JointGradSm90Traits<BFloat16, 128, 1>>(
    const __grid_constant__ JointGradSm90Params);
template __global__ void weight_grad_1x1_sm90<JointGradSm90Traits<Float16, 64, 2>>(
    const __grid_constant__ JointGradSm90Params);

}  // namespace octconv
