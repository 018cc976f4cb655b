#include "launch/weight_grad_1x1_sm90.cuh"

namespace octconv {

template void launch_joint_grad_sm90<BFloat16>(const JointGradSm90Params&, cudaStream_t);
template bool has_joint_grad_code_sm90<BFloat16>(int32_t);

}  // namespace octconv
