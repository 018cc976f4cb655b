// The machine code of the fused forward kernel for Hopper, for the tests that read it: with tiles
// of the fewest and the most sums, in both directions and with an epilogue, and with tiles that
// take windows through registers.
#include "dtype.h"
#include "kernels/forward_sm90.cuh"

namespace octconv {

#define OCTCONV_INSTANTIATE(...)                                  \
  template __global__ void forward_sm90<Sm90Traits<__VA_ARGS__>>( \
      const __grid_constant__ ForwardSm90Params);

OCTCONV_INSTANTIATE(Float16, false, 0, 32)
OCTCONV_INSTANTIATE(BFloat16, false, 2, 64)
OCTCONV_INSTANTIATE(BFloat16, false, 3, 32)
OCTCONV_INSTANTIATE(BFloat16, true, 4, 32)
OCTCONV_INSTANTIATE(Float16, false, 4, 64)
OCTCONV_INSTANTIATE(Float16, true, 5, 64)
OCTCONV_INSTANTIATE(BFloat16, false, 5, 64, true)
OCTCONV_INSTANTIATE(Float16, true, 0, 32)
OCTCONV_INSTANTIATE(BFloat16, true, 1, 64)
OCTCONV_INSTANTIATE(Float16, false, 0, 32, true)
OCTCONV_INSTANTIATE(BFloat16, false, 0, 64, true)

#undef OCTCONV_INSTANTIATE

}  // namespace octconv
