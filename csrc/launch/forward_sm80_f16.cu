#include "launch/forward_sm80.cuh"

namespace octconv {

template void launch_forward_sm80<Float16, false>(const Launch&);
template void launch_forward_sm80<Float16, true>(const Launch&);

}  // namespace octconv
