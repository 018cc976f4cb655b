#include "launch/forward_sm80.cuh"

namespace octconv {

template void launch_forward_sm80<BFloat16, false>(const Launch&);

}  // namespace octconv
