// Where an item of forward_1x1_sm80 lies, and how its results are stored: 16 bytes to a lane.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "epilogue.cuh"
#include "params/forward_1x1_sm80.h"
#include "quads.cuh"

namespace octconv {

// The first quad and, of each part, the first column of an item. The column tiles of the same quads
// are neighbours: blocks that read the same pixels do so at the same time.
struct ItemPlace {
  int32_t quad, column;

  template <typename Traits>
  static __device__ __forceinline__ ItemPlace of(const Forward1x1Params& p, int32_t item) {
    const int32_t spatial = p.by_tiles_columns.quotient(item);
    return {spatial * p.tile_quads, (item - spatial * p.tiles_columns) * Traits::kPartColumns};
  }
};

// The quad as a pixel of the low map.
__device__ __forceinline__ Pixel quad_pixel(const Forward1x1Params& p, int32_t quad) {
  const int32_t row = p.by_quad_width.quotient(quad), image = p.by_quad_height.quotient(row);
  return {image, row - image * p.quad_height, quad - row * p.quad_width, quad < p.quads};
}

template <typename Traits>
using TileSums = float[Traits::kTilesN][4];

// Eight rows of a part's sums become 16 bytes of results to a lane and group of n8 tiles.
template <typename Traits>
struct RowStore {
  using T = typename Traits::T;
  static constexpr int kSize = sizeof(T), kGroups = Traits::kTilesN / Traits::kGroup;

  const ForwardParams& p;
  const Program& program;
  int32_t column;    // the lane's first one
  uint32_t scratch;  // the warp's cells of a stage that is not read any more

  // The pixels' first results of this lane, if the lane's pixel was the map's first one.
  __device__ __forceinline__ char* map() const {
    return static_cast<char*>(program.output[0].map) + int64_t{column} * kSize;
  }

  // to: where those of the lane's pixel are. kFinishes: of inference, scaled already.
  template <bool kFinishes>
  __device__ __forceinline__ void store(const TileSums<Traits>& sum, int half, char* to,
                                        bool inside) const {
    ptx::Word128 word[kGroups];
    gather<kFinishes>(word, sum, half, to, inside);
#pragma unroll
    for (int group = 0; group < kGroups; ++group) {
      ptx::store_global_if(inside && has(group), to + group * kGroupBytes, word[group]);
    }
  }

 private:
  static constexpr int kGroupBytes = Traits::kGroupColumns * kSize;

  __device__ __forceinline__ bool has(int group) const {
    return column + group * Traits::kGroupColumns < program.columns;
  }

  template <bool kFinishes>
  __device__ __forceinline__ void gather(ptx::Word128 (&word)[kGroups], const TileSums<Traits>& sum,
                                         int half, const char* to, bool inside) const {
    ptx::Word128 residual[kGroups] = {};
    const Output& output = program.output[0];
    if (kFinishes && output.residual && inside) {
      const char* from =
          static_cast<const char*>(output.residual) + (to - static_cast<const char*>(output.map));
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        if (has(group)) ptx::load_constant(residual[group], from + group * kGroupBytes);
      }
    }
#pragma unroll
    for (int group = 0; group < kGroups; ++group) {
      float value[2 * Traits::kGroup];
#pragma unroll
      for (int i = 0; i < 2 * Traits::kGroup; ++i) {
        value[i] = sum[group * Traits::kGroup + i / 2][2 * half + i % 2];
      }
      if constexpr (kFinishes) finish_values<T>(value, residual[group], p.activation);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if constexpr (kSize == 4) {
          word[group].word[i] = ptx::as_bits(value[i]);
        } else {
          word[group].word[i] = ptx::narrow_pair<T>(value[2 * i], value[2 * i + 1]);
        }
      }
    }
    if constexpr (!Traits::kPermutes) exchange(word);
  }

  // Among the lanes of a row, by way of shared memory.
  __device__ __forceinline__ void exchange(ptx::Word128 (&word)[kGroups]) const {
    constexpr int kWords = kSize / 2;
    const uint32_t row = scratch + ptx::lane() / 4 * 64, in_quarter = ptx::lane() % 4;
    // Of the row's vectors: so that neither writing nor reading meets a bank conflict.
    const uint32_t turned = ptx::lane() / 8 % 2 * 2 + ptx::lane() / 16;
    ptx::sync_warp();
#pragma unroll
    for (int n = 0; n < Traits::kTilesN; ++n) {
      const int group = n / Traits::kGroup, in_group = n % Traits::kGroup;
      const uint32_t in_row = (in_group * 4 + in_quarter) * 2 * kSize;
      const uint32_t to = scratch_rows(group) + row + (in_row ^ turned * 16);
      const uint32_t* words = word[group].word + in_group * kWords;
      if constexpr (kWords == 1) {
        ptx::store_shared(to, words[0]);
      } else {
        ptx::store_shared(to, uint64_t{words[1]} << 32 | words[0]);
      }
    }
    ptx::sync_warp();
#pragma unroll
    for (int group = 0; group < kGroups; ++group) {
      ptx::load_shared(word[group], scratch_rows(group) + row + (in_quarter ^ turned) * 16);
    }
  }

  // A warp has 16 cells of each phase.
  static __device__ __forceinline__ uint32_t scratch_rows(int group) {
    return group / 2 * Traits::kQuads * Traits::kCellPitch + group % 2 * 512;
  }
};

}  // namespace octconv
