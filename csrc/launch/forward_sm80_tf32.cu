#include "launch/forward_sm80.cuh"

namespace octconv {

template void launch_forward_sm80<TFloat32, false>(const Launch&);
template void launch_forward_sm80<TFloat32, true>(const Launch&);

}  // namespace octconv
