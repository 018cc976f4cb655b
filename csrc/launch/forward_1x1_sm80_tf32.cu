#include "launch/forward_1x1_sm80.cuh"

namespace octconv {

template void launch_forward_1x1_sm80<TFloat32>(const Launch&);

}  // namespace octconv
