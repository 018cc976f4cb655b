#include "launch/forward_1x1_sm90.cuh"

namespace octconv {

template void launch_1x1_sm90<BFloat16>(const PlanSm90&, const JointSm90Params&, KernelUse,
                                        cudaStream_t);
template bool can_run_1x1_sm90<BFloat16>(const PlanSm90&, KernelUse);

}  // namespace octconv
