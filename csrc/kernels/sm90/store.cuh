// Where the sums of a tile go: added up first if splits share it, finished if it is inference.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "kernels/epilogue.cuh"
#include "sums.cuh"

namespace octconv::sm90 {

// A unit of the sums is what splits store: a block of a group, which is of a phase in high tiles,
// of a patch in low ones.
template <int kSums>
constexpr int unit_of(int group, int block) {
  return group * (kSums / kUnit) + block;
}

// What inference multiplies a thread's 8 channels of a block of 32 columns by, the first of them
// `channel`, and what it adds to them then.
struct Factors {
  float scale[8], shift[8];

  __device__ __forceinline__ void load(const ForwardSm90Params& p, Octave octave, int32_t channel) {
    const int32_t at = (octave == kLow ? p.channels_out[kHigh] : 0) + channel;
    ptx::Word128 words[4] = {};
    if (channel < p.channels_out[octave]) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        ptx::load_global(words[i], p.scale + at + 4 * i);
        ptx::load_global(words[2 + i], p.shift + at + 4 * i);
      }
    }
    memcpy(scale, words, sizeof(scale));
    memcpy(shift, words + 2, sizeof(shift));
  }

  __device__ __forceinline__ void apply(float (&value)[8]) const {
#pragma unroll
    for (int i = 0; i < 8; ++i) value[i] = value[i] * scale[i] + shift[i];
  }
};

// Of inference without residuals and SiLU: scales all sums in place and bounds them, so that the
// same code stores them as those of forward. A block's factors come a block ahead.
template <int kGroups, int kSums>
__device__ __forceinline__ void scale_and_bound(float (&sum)[kGroups][kSums],
                                                const ForwardSm90Params& p, Octave octave,
                                                int32_t channel) {
  constexpr int kBlocks = kSums / kUnit;
  Factors factors[2];
  factors[0].load(p, octave, channel);
#pragma unroll
  for (int block = 0; block < kBlocks; ++block) {
    const int next = block + 1;
    if (next < kBlocks) factors[next % 2].load(p, octave, channel + 32 * next);
#pragma unroll
    for (int i = 0; i < 2 * kGroups; ++i) {
      float value[8];
#pragma unroll
      for (int n = 0; n < 8; ++n) value[n] = sum[i / 2][sum_of(block, i % 2, n)];
      factors[block % 2].apply(value);
      bound(value, p.activation);
#pragma unroll
      for (int n = 0; n < 8; ++n) sum[i / 2][sum_of(block, i % 2, n)] = value[n];
    }
  }
}

// The first element of a pixel in an octave's output.
__device__ __forceinline__ int64_t first_element(const ForwardSm90Params& p, Octave octave,
                                                 const Pixel& pixel) {
  const int64_t row = int64_t{pixel.image} * p.height[octave] + pixel.y;
  return (row * p.width[octave] + pixel.x) * p.channels_out[octave];
}

// Adds up the splits of a tile, if it has them, in place of its boxes.
template <typename Traits, int kGroups, int kSums>
__device__ __forceinline__ void add_tile(float (&sum)[kGroups][kSums], const ForwardSm90Params& p,
                                         const Memory& memory) {
  if constexpr (sm90_may_split(kGroups * kSums)) {
    static_assert(kGroups * kSums * kMultiplierThreads * sizeof(float) <= kSm90Buffers);
    if (p.splits == 1) return;
    add_splits<kUnit>(sum, p.splits, own_units(p.units), memory.boxes,
                      ptx::thread_x() % kMultiplierThreads);
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

// Where a thread's sums of rows `half` of a group go: 8 channels of each 32 columns of one pixel.
template <typename Traits, int kSums>
struct PixelUnits {
  int group;
  int64_t element;  // the first channel's, of the octave's output
  int32_t channels;
  uint32_t units;

  __device__ __forceinline__ PixelUnits(const ForwardSm90Params& p, Octave octave,
                                        const Pixel& pixel, int group_, int32_t channel)
      : group(group_),
        element(first_element(p, octave, pixel) + channel),
        channels(pixel.inside(p, octave) ? p.channels_out[octave] - channel : 0),
        units(own_units(p.units)) {}
  // There, and this block's.
  __device__ __forceinline__ bool has(int block) const {
    return 32 * block < channels && has_unit(units, unit_of<kSums>(group, block));
  }
};

// Some groups and blocks of a tile's sums: in registers the first ones, of the tile those from
// `group` and `block` on.
template <int kPartGroups, int kPartBlocks>
struct Part {
  static constexpr int kGroups = kPartGroups, kBlocks = kPartBlocks;
  int32_t group, block;
};

// Stores this block's units of a part, those of a group and half at pixel_of(group, half).
// kFinishes: of inference, with all that may be.
template <typename Traits, bool kFinishes, int kAllGroups, int kSums, typename Part,
          typename PixelOf>
__device__ __forceinline__ void store_part(const float (&sum)[kAllGroups][kSums], const Part& part,
                                           const ForwardSm90Params& p, Octave octave,
                                           int32_t channel, const PixelOf& pixel_of) {
  using T = typename Traits::T;
  constexpr int kGroups = Part::kGroups;
  T* output = static_cast<T*>(p.output[octave]);
  const T* residuals = static_cast<const T*>(p.residual[octave]);
  const auto units_of = [&](int i) {
    const int32_t group = part.group + i % kGroups, half = i / kGroups;
    return PixelUnits<Traits, kSums>(p, octave, pixel_of(group, half), group, channel);
  };
#pragma unroll
  for (int i = 0; i < Part::kBlocks; ++i) {
    const int32_t block = part.block + i;
    Factors factors;
    if constexpr (kFinishes) factors.load(p, octave, channel + 32 * block);
    ptx::Word128 residual[2 * kGroups] = {};  // under way together
    if (kFinishes && residuals) {
#pragma unroll
      for (int j = 0; j < 2 * kGroups; ++j) {
        const auto at = units_of(j);
        if (!at.has(block)) continue;
        ptx::load_global(residual[j], residuals + at.element + 32 * block);
      }
    }
#pragma unroll
    for (int j = 0; j < 2 * kGroups; ++j) {
      float value[8];
#pragma unroll
      for (int n = 0; n < 8; ++n) value[n] = sum[j % kGroups][sum_of(i, j / kGroups, n)];
      if constexpr (kFinishes) {
        factors.apply(value);
        finish_values<T>(value, residual[j], p.activation);
      }
      ptx::Word128 words;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        words.word[k] = ptx::narrow_pair<T>(value[2 * k], value[2 * k + 1]);
      }
      if constexpr (Traits::kInputGrad) exchange_words(words, channel / 8 % 4);
      const auto at = units_of(j);
      ptx::store_global_if(at.has(block), output + at.element + 32 * block, words);
    }
  }
}

// Two halves of a tile's sums, one behind the other in the same registers: so there is code for one
// alone, of which with all that may be done there is much.
template <typename Traits, int kGroups, int kSums, typename PixelOf>
__device__ __forceinline__ void store_halves(float (&sum)[kGroups][kSums],
                                             const ForwardSm90Params& p, Octave octave,
                                             int32_t channel, const PixelOf& pixel_of) {
  constexpr int kBlocks = kSums / kUnit, kNextBlock = kBlocks % 2 == 0 ? kBlocks / 2 : 0;
  constexpr int kNextGroup = kBlocks > 1 && kNextBlock == 0 ? kGroups / 2 : 0;
  Part<kGroups - kNextGroup, kBlocks - kNextBlock> half{0, 0};
#pragma unroll 1
  while (true) {
    store_part<Traits, true>(sum, half, p, octave, channel, pixel_of);
    if (half.group + half.block == kNextGroup + kNextBlock) return;  // a single block is no two
    half.group = kNextGroup, half.block = kNextBlock;
#pragma unroll
    for (int group = 0; group < half.kGroups; ++group) {
#pragma unroll
      for (int i = 0; i < half.kBlocks * kUnit; ++i) {
        sum[group][i] = sum[group + kNextGroup][i + kNextBlock * kUnit];
      }
    }
  }
}

// The sums of a tile to where they go, added up first if it is split; of inference they are
// finished on the way.
template <typename Traits, int kGroups, int kSums, typename PixelOf>
__device__ __forceinline__ void finish_sums(float (&sum)[kGroups][kSums],
                                            const ForwardSm90Params& p, const Memory& memory,
                                            Octave octave, int32_t channel,
                                            const PixelOf& pixel_of) {
  add_tile<Traits>(sum, p, memory);
  if constexpr (!Traits::kInputGrad) {
    if (p.scale) {
      // Of the largest tiles all sums, beside factors, are more than there are registers for.
      constexpr bool kInPlace = kGroups * kSums <= 128;
      if (!kInPlace || p.residual[octave] || !only_bounds(p.activation)) {
        return store_halves<Traits>(sum, p, octave, channel, pixel_of);
      }
      if constexpr (kInPlace) scale_and_bound(sum, p, octave, channel);
    }
  }
  constexpr Part<kGroups, kSums / kUnit> kAll{0, 0};
  store_part<Traits, false>(sum, kAll, p, octave, channel, pixel_of);
}

}  // namespace octconv::sm90
