// The sums of a patch, 64 rows to a warpgroup: their pixels and channels, and where they begin.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "kernels/window.cuh"

namespace octconv::sm90 {

// A pixel of an octave's output, there or not.
struct Pixel {
  int32_t image, y, x;

  __device__ __forceinline__ bool inside(const ForwardSm90Params& p, Octave octave) const {
    return image < p.batch && y < p.height[octave] && x < p.width[octave];
  }
};

// The pixel of a quad and a phase.
__device__ __forceinline__ Pixel pixel_of_phase(const Pixel& quad, int phase) {
  return {quad.image, 2 * quad.y + phase / 2, 2 * quad.x + phase % 2};
}

constexpr int32_t kNowhere = 1 << 28;  // behind all rows of a map

// The quad of this thread in rows `half` (0 or 1) of a tile's patch of this index.
template <typename Traits, bool kHighTile>
__device__ __forceinline__ Pixel quad_of(const Item& item, int32_t index, int32_t half) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  const int32_t x = static_cast<int32_t>(ptx::lane() / 4);
  const int32_t y = static_cast<int32_t>(ptx::thread_x() / 32 % 4) * 2 + half;
  if constexpr (kHighTile && kGeometry.linear) {
    constexpr int32_t kWidth = kGeometry.phases.width;
    const int32_t cell = 64 * index + 8 * y + x, row = cell / kWidth;
    const bool inside = row < sm90_tile(kGeometry, true).height;
    return {item.image, inside ? item.y + row : kNowhere, cell - row * kWidth};
  } else {
    const Patch patch = sm90_patch(kGeometry, kHighTile, index);
    return {item.image + patch.image, item.y + patch.y + y, item.x + patch.x + x};
  }
}

// A thread stores 8 neighbouring channels of each block of 32 columns: those from 8 (lane % 4) on.
// Loads permute the rows of the weight within each block such that channels 2j and 2j + 1 of them
// are its sums 16 block + 4j + 2 half and the next. Columns of a transposed weight stay where they
// are: so those sums are of channels 8j + 2 (lane % 4) and the next, and lanes exchange them.
constexpr int kUnit = 16;  // sums of a block, of both halves
constexpr int sum_of(int block, int half, int n) {
  return kUnit * block + n / 2 * 4 + 2 * half + n % 2;
}
__device__ __forceinline__ int32_t first_channel(int32_t column) {
  return column + 8 * static_cast<int32_t>(ptx::lane() % 4);
}

// Sums begin with the bias, once among all splits.
template <typename T, int kSums>
__device__ __forceinline__ void begin_sums(float (&sum)[kSums], const ForwardSm90Params& p,
                                           Octave octave, int32_t column) {
#pragma unroll
  for (int i = 0; i < kSums; ++i) sum[i] = 0.0f;
  if (!p.bias || ptx::cluster_rank() > 0) return;
  const int32_t before = octave == kLow ? p.channels_out[kHigh] : 0;
  const T* bias = static_cast<const T*>(p.bias) + before;
#pragma unroll
  for (int block = 0; block < kSums / kUnit; ++block) {
    const int32_t channel = first_channel(column) + 32 * block;
    if (channel >= p.channels_out[octave]) continue;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      T value;
      ptx::load_global(value.bits, bias + channel + i);
      sum[sum_of(block, 0, i)] = sum[sum_of(block, 1, i)] = ptx::widen(value);
    }
  }
}

// What low pixels gave their quads is shared out among the pixels that are there.
template <typename Traits, int kSums>
__device__ __forceinline__ void divide_quads(float (&sum)[kSums], const ForwardSm90Params& p,
                                             const Item& item, int32_t patch) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Pixel quad = quad_of<Traits, true>(item, patch, half);
    const float factor = share(p.height[kHigh] - 2 * quad.y, p.width[kHigh] - 2 * quad.x);
#pragma unroll
    for (int i = 2 * half; i < kSums; i += 4) sum[i] *= factor, sum[i + 1] *= factor;
  }
}

}  // namespace octconv::sm90
