#include "launch/weight_grad_sm80.cuh"

namespace octconv {

template void launch_weight_grad_sm80<BFloat16>(const WeightGradLaunch&);

}  // namespace octconv
