// The machine code of the fused weight gradient for Hopper, for the tests that read it.
#include "dtype.h"
#include "kernels/weight_grad_sm90.cuh"

namespace octconv {

template __global__ void weight_grad_sm90<GradSm90Traits<Float16, 32>>(
    const __grid_constant__ WeightGradSm90Params);
template __global__ void weight_grad_sm90<GradSm90Traits<BFloat16, 64>>(
    const __grid_constant__ WeightGradSm90Params);

}  // namespace octconv
