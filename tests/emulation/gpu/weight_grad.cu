// The machine code of the weight gradient, for the tests that read it: one kernel of each kind.
#include "kernels/weight_grad_1x1_sm80.cuh"
#include "kernels/weight_grad_sm80.cuh"
#include "kernels/weight_grad_splits.cuh"

namespace octconv {

template __global__ void weight_grad_sm80<WeightGradTraits<BFloat16, 3, WideGrad>>(
    const __grid_constant__ WeightGradParams);
template __global__ void weight_grad_sm80<WeightGradTraits<Float16, 3, NarrowGrad>>(
    const __grid_constant__ WeightGradParams);
template __global__ void weight_grad_sm80<WeightGradTraits<BFloat16, 1, WideGrad>>(
    const __grid_constant__ WeightGradParams);
template __global__ void weight_grad_sm80<WeightGradTraits<TFloat32, 3, NarrowGrad>>(
    const __grid_constant__ WeightGradParams);
template __global__ void weight_grad_1x1_sm80<JointGradTraits<BFloat16, 4, 2, 1>>(
    const __grid_constant__ JointGradParams);
template __global__ void weight_grad_1x1_sm80<JointGradTraits<Float16, 1, 4, 2>>(
    const __grid_constant__ JointGradParams);
template __global__ void add_weight_grad_splits<BFloat16>(const __grid_constant__ WeightGradParams);

}  // namespace octconv
