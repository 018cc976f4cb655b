// What inference does to the sums of forward_sm90, activation(sum * scale + shift + residual), and
// where they go. By blocks of 32 columns, of which a thread has 8 neighbouring channels, each
// stored at once: beside all sums there are few registers.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>

#include "block.cuh"
#include "kernels/epilogue.cuh"
#include "sums.cuh"

namespace octconv::sm90 {

// Scales the sums of a block, where this thread has the channels from `channel` on, by factors of
// four at a time.
template <int kGroups, int kSums>
__device__ __forceinline__ void scale_block(float (&sum)[kGroups][kSums], int block,
                                            const ForwardSm90Params& p, Octave octave,
                                            int32_t channel) {
  const int32_t column = channel + (octave == kLow ? p.channels_out[kHigh] : 0);
#pragma unroll
  for (int i = 0; i < 8; i += 4) {
    ptx::Word128 words[2] = {};
    if (channel < p.channels_out[octave]) {
      ptx::load_constant(words[0], p.scale + column + i);
      ptx::load_constant(words[1], p.shift + column + i);
    }
    float scale[4], shift[4];
    memcpy(scale, &words[0], sizeof(scale)), memcpy(shift, &words[1], sizeof(shift));
#pragma unroll
    for (int n = 0; n < 8 * kGroups; ++n) {
      const int of = n % 8 / 4 * 2 + n % 2;
      float& value = sum[n / 8][16 * block + 2 * i + n % 8];
      value = value * scale[of] + shift[of];
    }
  }
}

// The scaled sums of rows `half` of a block, to `output`.
template <typename T, int kSums>
__device__ __forceinline__ void store_finished(const float (&sum)[kSums], int block, int half,
                                               const ptx::Word128& residual, Activation activation,
                                               T* output, bool wanted) {
  float value[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) value[i] = sum[16 * block + i / 2 * 4 + 2 * half + i % 2];
  finish_values<T>(value, residual, activation);
  ptx::Word128 words;
#pragma unroll
  for (int i = 0; i < 4; ++i) words.word[i] = ptx::narrow_pair<T>(value[2 * i], value[2 * i + 1]);
  ptx::store_global_if(wanted, output, words);
}

// All units of a tile's sums, or this block's, rows `half` of each group at pixel_of(group, half).
template <typename T, int kGroups, int kSums, typename PixelOf>
__device__ __forceinline__ void finish_units(float (&sum)[kGroups][kSums],
                                             const ForwardSm90Params& p, Octave octave,
                                             int32_t channel, uint32_t units,
                                             const PixelOf& pixel_of) {
  constexpr int kMost = 4;
  const T* residuals = static_cast<const T*>(p.residual[octave]);
  T* output = static_cast<T*>(p.output[octave]);
#pragma unroll
  for (int block = 0; block < kSums / 16; ++block, channel += 32) {
    scale_block(sum, block, p, octave, channel);
    const bool has_channels = channel < p.channels_out[octave];
    // Residuals under way, as the sums that are left have registers for.
    const int at_once = kGroups * (kSums - 16 * block) > 128 ? 1 : kMost;
#pragma unroll
    for (int first = 0; first < 2 * kGroups; ++first) {
      if (first % at_once != 0) continue;
      ptx::Word128 residual[kMost] = {};
      int64_t element[kMost];
      bool wanted[kMost];
#pragma unroll
      for (int i = 0; i < kMost; ++i) {
        if (i >= at_once) continue;
        const Pixel pixel = pixel_of((first + i) % kGroups, (first + i) / kGroups);
        element[i] = first_element(p, octave, pixel) + channel;
        wanted[i] = has_channels && pixel.inside(p, octave) &&
                    has_unit(units, unit_of<kSums>((first + i) % kGroups, block));
        if (residuals && wanted[i]) ptx::load_constant(residual[i], residuals + element[i]);
      }
#pragma unroll
      for (int i = 0; i < kMost; ++i) {
        if (i >= at_once) continue;
        store_finished(sum[(first + i) % kGroups], block, (first + i) / kGroups, residual[i],
                       p.activation, output + element[i], wanted[i]);
      }
    }
  }
}

// The sums of a tile, added up first if it is split: in code of its own, for predicates, and so
// registers, are few.
template <typename Traits, int kGroups, int kSums, typename PixelOf>
__device__ __forceinline__ void finish_sums(float (&sum)[kGroups][kSums],
                                            const ForwardSm90Params& p, const Memory& memory,
                                            Octave octave, int32_t channel,
                                            const PixelOf& pixel_of) {
  if (Traits::kMaySplit && p.splits > 1) {
    add_tile<Traits>(sum, p, memory);
    finish_units<typename Traits::T>(sum, p, octave, channel, own_units(p.units), pixel_of);
  } else {
    finish_units<typename Traits::T>(sum, p, octave, channel, ~0u, pixel_of);
  }
}

}  // namespace octconv::sm90
