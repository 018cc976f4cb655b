// The weight's side of a product: one row of taps of a chunk in shared memory, and its fragments.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>
#include <type_traits>

#include "columns.cuh"
#include "halo.cuh"
#include "params/forward_sm80.h"

namespace octconv {

template <typename T>
__device__ __forceinline__ void round_operand(uint32_t& word) {
  if constexpr (std::is_same_v<T, TFloat32>) word = ptx::round_tf32(word);
}

// Of `number`, at most `most`.
constexpr int greatest_divisor(int number, int most) {
  if (most > number) most = number;
  while (number % most != 0) --most;
  return most;
}

// How the warps that load share a tap: in rows of 16-byte vectors, kRows of them at a time.
template <typename Tile>
struct TapCopies {
  static constexpr int kElements = 16 / sizeof(typename Tile::T);
  static constexpr int kRowVectors =
      Tile::kTransposed ? Tile::kColumns / kElements : Tile::kVectors;
  static constexpr int kTapRows = Tile::kTransposed ? Tile::kChunk : Tile::kColumns;
  static constexpr int kRows = greatest_divisor(kTapRows, Tile::kLoaderThreads / kRowVectors);
  static constexpr int kParts = kTapRows / kRows;
  static_assert(Tile::kLoaderThreads % kRowVectors == 0);
};

// The weight's rows of taps of a chunk as a thread that loads fills them, one after the other. What
// it copies lies equally far apart, so that one address serves it all.
struct WeightRows {
  const char* from;
  int64_t tap_bytes, part_bytes;
  int32_t rows;  // that are there, from this thread's first one on; 0: the thread copies zeros
  uint32_t to;   // from the begin of a row of taps
  bool idle;     // short taps leave threads without a row

  template <typename Tile>
  __device__ __forceinline__ void set(const ForwardParams& p, const Segment& segment,
                                      int32_t columns, int32_t column, int32_t channel) {
    using Copies = TapCopies<Tile>;
    constexpr int32_t kBytes = sizeof(typename Tile::T);
    int32_t row, vector;
    if constexpr (Tile::kTransposed) {
      row = loader_thread<Tile>() / Copies::kRowVectors;
      vector = loader_thread<Tile>() % Copies::kRowVectors;
    } else {
      const LaneCell<Tile> lane;
      row = loader_thread<Tile>() / 32 * LaneCell<Tile>::kCells + lane.cell;
      vector = lane.vector;
    }
    idle = row >= Copies::kRows;
    // The taps of a transposed weight are turned around; its rows are what the product runs over.
    const int32_t taps = taps_of<Tile>(p), tap = Tile::kTransposed ? taps * taps - 1 : 0;
    const int32_t weight_row = Tile::kTransposed ? channel + row : column + row_column<Tile>(row);
    const int32_t weight_column =
        (Tile::kTransposed ? column : channel) + vector * Copies::kElements;
    const bool inside = weight_column < (Tile::kTransposed ? columns : segment.channels);
    rows = inside ? (Tile::kTransposed ? segment.channels : columns) - weight_row : 0;
    from = static_cast<const char*>(segment.weight) +
           (weight_row * p.weight_row + tap * p.weight_tap + weight_column) * kBytes;
    tap_bytes = (Tile::kTransposed ? -1 : 1) * p.weight_tap * kBytes;
    part_bytes = Copies::kRows * p.weight_row * kBytes;
    to = row * Tile::kWeightPitch + vector * 16;
  }

  // The next row of taps.
  template <typename Tile, int kTaps>
  __device__ __forceinline__ void load(uint32_t row) {
    using Copies = TapCopies<Tile>;
    const char* source = from;
#pragma unroll
    for (int i = 0; i < kTaps; ++i) {
#pragma unroll
      for (int part = 0; part < Copies::kParts; ++part) {
        const int first = i * Copies::kTapRows + part * Copies::kRows;
        ptx::copy_async_if(!idle, row + to + first * Tile::kWeightPitch, source + part * part_bytes,
                           part * Copies::kRows < rows ? 16 : 0);
      }
      source += tap_bytes;
    }
    from = source;
  }
};

// Where a lane finds its part of the fragments of its warp's columns.
template <typename Tile>
__device__ __forceinline__ uint32_t weight_lane_offset(uint32_t first_column) {
  using T = typename Tile::T;
  const uint32_t lane = ptx::lane();
  if constexpr (!Tile::kTransposed) {  // matrices: columns 0 to 7 of both halves, then 8 to 15
    return (first_column + lane / 16 * 8 + lane % 8) * Tile::kWeightPitch + lane / 8 % 2 * 16;
  } else if constexpr (sizeof(T) == 2) {  // matrices: channels 0 to 7, then 8 to 15
    return lane % 16 * Tile::kWeightPitch + (first_column + lane / 16 * 8) * sizeof(T);
  } else {  // single words
    return lane % 4 * Tile::kWeightPitch + (first_column + lane / 4) * sizeof(T);
  }
}

// The fragments of tap `tap` and of step `step` (bytes into a cell) for all n8 tiles of a warp;
// `weight` includes the lane's offset.
template <typename Tile>
__device__ __forceinline__ void load_weight_fragments(uint32_t (&b)[Tile::kTilesN][2],
                                                      uint32_t weight, int32_t tap, int32_t step) {
  using T = typename Tile::T;
#pragma unroll
  for (int n = 0; n < Tile::kTilesN; n += 2) {
    uint32_t fragment[4];
    if constexpr (!Tile::kTransposed) {
      ptx::load_matrix(fragment,
                       weight + (tap * Tile::kColumns + 8 * n) * Tile::kWeightPitch + step);
    } else {
      const uint32_t rows =
          weight + (tap * Tile::kChunk + step / sizeof(T)) * Tile::kWeightPitch + 8 * n * sizeof(T);
      if constexpr (sizeof(T) == 2) {
        ptx::load_matrix_transposed(fragment, rows);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          ptx::load_shared(fragment[i], rows + i % 2 * 4 * Tile::kWeightPitch + i / 2 * 32);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      round_operand<T>(fragment[i]);
      b[n + i / 2][i % 2] = fragment[i];
    }
  }
}

}  // namespace octconv
