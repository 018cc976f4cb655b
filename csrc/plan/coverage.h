// What the fused kernels cover. Plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

#include "problem.h"

namespace octconv {

// Why they do not cover a problem with a kernel of `kernel` x `kernel_width`; null if they do.
inline const char* why_not_covered(const Problem& p, int32_t kernel_width) {
  if (p.kernel != kernel_width || p.kernel > 7) return "the kernel is not 1x1, 3x3, 5x5 or 7x7";
  for (const int32_t channels : {p.high_in, p.low_in, p.high_out, p.low_out}) {
    if (channels % 8 != 0) return "the channels of a part are not a multiple of 8";
  }
  if (p.high_in + p.low_in == 0 || p.high_out + p.low_out == 0) return "there are no channels";
  // Rows and pixels of a map are counted in 32 bits, separators between images included.
  if (int64_t{p.batch} * (int64_t{p.height} + 2 * p.kernel) > INT32_MAX) {
    return "the batch has 2^31 rows or more";
  }
  if (int64_t{p.batch} * p.height * p.width > INT32_MAX) return "a map has 2^31 pixels or more";
  const int32_t channels = std::max({p.high_in, p.low_in, p.high_out, p.low_out});
  if (int64_t{p.width} * channels > INT32_MAX / 4) return "a row of a map has 2^31 bytes or more";
  return nullptr;
}

}  // namespace octconv
