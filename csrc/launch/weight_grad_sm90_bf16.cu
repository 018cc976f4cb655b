#include "launch/weight_grad_sm90.cuh"

namespace octconv {

template void launch_grad_sm90<BFloat16>(const WeightGradSm90Params&, cudaStream_t);
template bool has_grad_code_sm90<BFloat16>(int32_t);

}  // namespace octconv
