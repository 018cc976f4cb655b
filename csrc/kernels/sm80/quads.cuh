// The quads of a grid and the pixels of theirs that are there.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "params/forward_sm80.h"

namespace octconv {

// A quad: a pixel of the low map.
struct Pixel {
  int32_t image, y, x;
  bool inside;
};

// Of a quad in the high map: the number of its first pixel, and a bit for each phase that is there.
__device__ __forceinline__ int64_t first_pixel(const ForwardParams& p, const Pixel& quad) {
  const int32_t row = quad.image * p.grid_height + 2 * quad.y;
  return int64_t{row} * p.grid_width + 2 * quad.x;
}
__device__ __forceinline__ bool quads_are_whole(const ForwardParams& p) {
  return (p.grid_height | p.grid_width) % 2 == 0;
}
__device__ __forceinline__ uint32_t phases_inside(const ForwardParams& p, const Pixel& quad) {
  if (quads_are_whole(p)) return 15;
  const bool below = 2 * quad.y + 1 < p.grid_height, beside = 2 * quad.x + 1 < p.grid_width;
  return 1u | beside << 1 | below << 2 | (below && beside) << 3;
}

}  // namespace octconv
