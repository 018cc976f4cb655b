// The weight's side of a product: one row of taps of a chunk in shared memory, and its fragments.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>
#include <type_traits>

#include "forward_params.h"
#include "halo.cuh"

namespace octconv {

template <typename T>
__device__ __forceinline__ void round_operand(uint32_t& word) {
  if constexpr (std::is_same_v<T, TFloat32>) word = ptx::round_tf32(word);
}

// Copies tap row `tap_row` of the chunk from `channel` on, for the columns from `column` on.
template <typename Tile>
__device__ __forceinline__ void load_weight(const ForwardParams& p, const Segment& segment,
                                            int32_t columns, int32_t column, int32_t channel,
                                            int32_t tap_row, uint32_t to) {
  using T = typename Tile::T;
  constexpr int kElements = 16 / sizeof(T), kWarpRows = LaneCell<Tile>::kCells;
  const T* weight = static_cast<const T*>(segment.weight);
  const int32_t warp = ptx::thread_x() / 32;
  if constexpr (!Tile::kTransposed) {
    const LaneCell<Tile> lane;
    const int32_t from_channel = channel + lane.vector * kElements;
    static_assert(Tile::kColumns % kWarpRows == 0);
    for (int32_t first = warp * kWarpRows; first < Tile::kTaps * Tile::kColumns;
         first += Tile::kWarps * kWarpRows) {
      const int32_t tap = first / Tile::kColumns;
      const int32_t n = first % Tile::kColumns + lane.cell;
      const bool inside = column + n < columns && from_channel < segment.channels;
      const T* from = weight + (column + n) * p.weight_row +
                      (tap_row * Tile::kTaps + tap) * p.weight_tap + from_channel;
      ptx::copy_async(to + (first + lane.cell) * Tile::kWeightPitch + lane.vector * 16,
                      inside ? from : weight, inside ? 16 : 0);
    }
  } else {
    // The taps are turned around, and the weight's rows are what the product runs over.
    constexpr int kRowVectors = Tile::kColumns / kElements;
    for (int32_t i = ptx::thread_x(); i < Tile::kTaps * Tile::kChunk * kRowVectors;
         i += Tile::kThreads) {
      const int32_t row = i / kRowVectors, n = i % kRowVectors * kElements;
      const int32_t tap = row / Tile::kChunk, from_channel = channel + row % Tile::kChunk;
      const bool inside = column + n < columns && from_channel < segment.channels;
      const int32_t turned = Tile::kTaps * Tile::kTaps - 1 - (tap_row * Tile::kTaps + tap);
      const T* from = weight + from_channel * p.weight_row + turned * p.weight_tap + column + n;
      ptx::copy_async(to + row * Tile::kWeightPitch + n * sizeof(T), inside ? from : weight,
                      inside ? 16 : 0);
    }
  }
}

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
