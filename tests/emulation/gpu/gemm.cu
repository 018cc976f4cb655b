// The machine code of gemm, for the tests that read it.
#include "../kernels/gemm.cuh"

namespace octconv {

template __global__ void gemm<GemmTraits<BFloat16, 3>>(const GemmParams);
template __global__ void gemm<GemmTraits<Float16, 3>>(const GemmParams);
template __global__ void gemm<GemmTraits<TFloat32, 3>>(const GemmParams);

}  // namespace octconv
