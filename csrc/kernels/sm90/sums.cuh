// The sums of a patch, 64 rows to a warpgroup: where they begin, and where they go.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "kernels/window.cuh"

namespace octconv::sm90 {

// The quad of this thread in rows `half` (0 or 1) of a patch.
__device__ __forceinline__ int32_t quad_x(const Item& item, const Patch& patch) {
  return item.x + patch.x + static_cast<int32_t>(ptx::lane() / 4);
}
__device__ __forceinline__ int32_t quad_y(const Item& item, const Patch& patch, int32_t half) {
  return item.y + patch.y + static_cast<int32_t>(ptx::thread_x() / 32 % 4) * 2 + half;
}

// A thread stores 8 neighbouring channels of each 32 columns: those from 8 (lane % 4) on. Loads
// permute the rows of the weight within each 32 such that channels 2j and 2j + 1 of them are its
// sums 16 block + 4j + 2 half and the next. Columns of a transposed weight stay where they are: so
// those sums are of channels 8j + 2 (lane % 4) and the next, and lanes exchange them.
__device__ __forceinline__ int32_t first_channel(int32_t column) {
  return column + 8 * static_cast<int32_t>(ptx::lane() % 4);
}

// Sums begin with the bias.
template <typename T, int kSums>
__device__ __forceinline__ void begin_sums(float (&sum)[kSums], const ForwardSm90Params& p,
                                           Octave octave, int32_t column) {
#pragma unroll
  for (int i = 0; i < kSums; ++i) sum[i] = 0.0f;
  if (!p.bias) return;
  const int32_t before = octave == kLow ? p.channels_out[kHigh] : 0;
  const T* bias = static_cast<const T*>(p.bias) + before;
#pragma unroll
  for (int block = 0; block < kSums / 16; ++block) {
    const int32_t channel = first_channel(column) + 32 * block;
    if (channel >= p.channels_out[octave]) continue;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      T value;
      ptx::load_constant(value.bits, bias + channel + i);
      const int to = 16 * block + i / 2 * 4 + i % 2;
      sum[to] = sum[to + 2] = ptx::widen(value);
    }
  }
}

// Word j of lane i, of four, goes to lane j, as its word i.
__device__ __forceinline__ void exchange_words(ptx::Word128& words, int32_t lane) {
#pragma unroll
  for (int distance = 1; distance < 4; distance *= 2) {
    const bool upper = (lane & distance) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & distance) continue;
      uint32_t &first = words.word[i], &second = words.word[i + distance];
      const uint32_t other = ptx::shuffle_xor(upper ? first : second, distance);
      (upper ? first : second) = other;
    }
  }
}

// What low pixels gave their quads is shared out among the pixels that are there.
template <int kSums>
__device__ __forceinline__ void divide_quads(float (&sum)[kSums], const ForwardSm90Params& p,
                                             const Item& item, const Patch& patch) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float factor = share(p.height[kHigh] - 2 * quad_y(item, patch, half),
                               p.width[kHigh] - 2 * quad_x(item, patch));
#pragma unroll
    for (int i = 2 * half; i < kSums; i += 4) sum[i] *= factor, sum[i + 1] *= factor;
  }
}

template <int kPatches, int kSums>
__device__ __forceinline__ void scale(float (&sum)[kPatches][kSums], float factor) {
#pragma unroll
  for (int i = 0; i < kPatches * kSums; ++i) sum[i / kSums][i % kSums] *= factor;
}

// Stores the sums of rows `half` of a patch to the pixel at `to`.
template <typename Traits, int kSums>
__device__ __forceinline__ void store_sums(const float (&sum)[kSums], int half, void* to,
                                           int32_t channel, int32_t channels, bool wanted) {
  using T = typename Traits::T;
#pragma unroll
  for (int block = 0; block < kSums / 16; ++block) {
    ptx::Word128 words;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int from = 16 * block + 4 * j + 2 * half;
      words.word[j] = ptx::narrow_pair<T>(sum[from], sum[from + 1]);
    }
    if constexpr (Traits::kInputGrad) exchange_words(words, channel / 8 % 4);
    ptx::store_global_if(wanted && channel + 32 * block < channels,
                         static_cast<T*>(to) + channel + 32 * block, words);
  }
}

// The first element of pixel (y, x) in an octave's output, and where that is.
__device__ __forceinline__ int64_t first_element(const ForwardSm90Params& p, Octave octave,
                                                 int32_t image, int32_t y, int32_t x) {
  const int64_t pixel = (int64_t{image} * p.height[octave] + y) * p.width[octave] + x;
  return pixel * p.channels_out[octave];
}
template <typename T>
__device__ __forceinline__ T* pixel_of(const ForwardSm90Params& p, Octave octave, int32_t image,
                                       int32_t y, int32_t x) {
  return static_cast<T*>(p.output[octave]) + first_element(p, octave, image, y, x);
}

}  // namespace octconv::sm90
