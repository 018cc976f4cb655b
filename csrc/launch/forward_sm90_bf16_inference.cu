#include "launch/forward_sm90.cuh"

namespace octconv {

template void launch_sm90<BFloat16, false, true>(const PlanSm90&, const ForwardSm90Params&,
                                                 cudaStream_t);
template bool can_run_sm90<BFloat16, false, true>(const PlanSm90&);

}  // namespace octconv
