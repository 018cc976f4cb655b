#include "launch/forward_1x1_sm80.cuh"

namespace octconv {

template void launch_forward_1x1_sm80<BFloat16>(const Launch&);

}  // namespace octconv
