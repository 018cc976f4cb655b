// Waiting for copies of which so many groups are under way as the kernel finds out.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

namespace octconv {

// All but the last `pending` groups of this thread's copies have landed: 0 to 2, known only where
// the kernel runs, while the instruction takes a constant.
__device__ __forceinline__ void wait_copies_but(int32_t pending) {
  if (pending == 0) {
    ptx::wait_copies<0>();
  } else if (pending == 1) {
    ptx::wait_copies<1>();
  } else {
    ptx::wait_copies<2>();
  }
}

}  // namespace octconv
