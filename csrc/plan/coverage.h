// What the fused kernels cover. Plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dtype.h"
#include "plan/device_facts.h"
#include "problem.h"

namespace octconv {

constexpr int32_t kMostTaps = 7;  // of a window, along an axis

// Why they do not cover a problem with a kernel of `kernel` x `kernel_width`; null if they do.
inline const char* why_not_covered(const Problem& p, int64_t kernel_width) {
  if (p.batch == 0) return "an empty batch";
  if (p.kernel != kernel_width || p.kernel > kMostTaps)
    return "the kernel is not 1x1, 3x3, 5x5 or 7x7";
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

// Why no kernel for Hopper covers one that why_not_covered lets pass, in blocks of so many bytes of
// shared memory; null if there may be one.
inline const char* why_not_hopper(const Problem& p, ElementType type, const DeviceFacts& device,
                                  int32_t shared_bytes) {
  if (device.major != 9 || device.minor != 0) return "a GPU of another compute capability than 9.0";
  if (device.multiprocessors < 2) return "a GPU with one multiprocessor";  // for both octaves
  if (device.shared_per_block < shared_bytes) return "a GPU with too little shared memory";
  if (type == ElementType::kTFloat32) return "tf32, and kernels for bfloat16 and float16";
  if ((p.kernel != 3 && p.kernel != 1) || p.stride != 1) {
    return "another kernel than 1x1 or 3x3 at stride 1";
  }
  const int64_t channels = std::max({p.high_in, p.low_in, p.high_out, p.low_out});
  if (int64_t{p.height} * p.width * channels >= int64_t{1} << 39) {
    return "an image of 2^40 bytes or more";
  }
  return nullptr;
}

}  // namespace octconv
