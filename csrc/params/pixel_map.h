// A map as the kernels read it. Plain C++: neither torch nor CUDA is known here.
#pragma once

#include <cstdint>

namespace octconv {

struct PixelMap {
  const void* source;  // (batch, height, width, channels), dense
  int32_t height, width;
  int32_t channels;  // 0: no such map
  int32_t pools;     // how often it is pooled 2x2 on the way in: 0, 1 or 2
  bool sums;         // in the weight gradient: pooled as the sum of the pixels, not as their mean
};

}  // namespace octconv
