#include "launch/forward_sm90.cuh"

namespace octconv {

template void launch_sm90<BFloat16, true>(const PlanSm90&, const ForwardSm90Params&, cudaStream_t);
template Answer can_run_sm90<BFloat16, true>(const PlanSm90&);

}  // namespace octconv
