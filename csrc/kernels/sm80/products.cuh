// The inner loops: one row of taps of a chunk into the sums of a warp.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/phase.cuh"
#include "weight.cuh"

namespace octconv {

template <typename Tile>
using Sums = float[Tile::kTilesM][Tile::kTilesN][4];

template <typename Tile>
__device__ __forceinline__ void load_cells(uint32_t (&a)[4], uint32_t cells) {
  ptx::load_matrix(a, cells);
  for (int i = 0; i < 4; ++i) round_operand<typename Tile::T>(a[i]);
}

template <typename Tile>
__device__ __forceinline__ void multiply(float (&sum)[Tile::kTilesN][4], const uint32_t (&a)[4],
                                         const uint32_t (&b)[Tile::kTilesN][2]) {
#pragma unroll
  for (int n = 0; n < Tile::kTilesN; ++n) ptx::mma<typename Tile::T>(sum[n], a, b[n]);
}

// All phases. Along a row, the window at offset w meets tap w + p in x-phase 0 and tap w + p - 1 in
// x-phase 1: the weights of two taps are kept, and each window and each tap is loaded once.
// cells[dy]: the lane's cell in the row that the taps of y-phase dy read, first shift, plane 0
// along x; `plane_bytes` on lies plane 1.
template <typename Tile, int kTaps>
__device__ __forceinline__ void multiply_phases(Sums<Tile>& sum, const uint32_t (&cells)[2],
                                                uint32_t plane_bytes, uint32_t weight,
                                                int32_t step_bytes) {
  constexpr int p = kTaps / 2;
#pragma unroll 1
  for (int32_t step = 0; step < step_bytes; step += Tile::kStepBytes) {
    uint32_t b[2][Tile::kTilesN][2];
#pragma unroll
    for (int w = -p; w <= p + 1; ++w) {
      const int tap = w + p;
      if (tap < kTaps) load_weight_fragments<Tile>(b[tap % 2], weight, tap, step);
      const int plane = phase::plane(w);
      const int cell = phase::shift(w) - phase::first_shift(plane, p);
#pragma unroll
      for (int dy = 0; dy < 2; ++dy) {
        uint32_t a[4];
        load_cells<Tile>(a, cells[dy] + plane * plane_bytes + cell * Tile::kCellPitch + step);
        if (tap < kTaps) multiply<Tile>(sum[2 * dy], a, b[tap % 2]);
        if (tap > 0) multiply<Tile>(sum[2 * dy + 1], a, b[(tap - 1) % 2]);
      }
    }
  }
}

// One product to a quad, into every kStride-th m16 tile. cells[i]: the lane's cell of the i-th
// group of 16 quads in the row that the taps read, at the first tap.
template <typename Tile, int kTaps, int kStride>
__device__ __forceinline__ void multiply_quads(Sums<Tile>& sum,
                                               const uint32_t (&cells)[Tile::kTilesM / kStride],
                                               uint32_t weight, int32_t step_bytes) {
#pragma unroll 1
  for (int32_t step = 0; step < step_bytes; step += Tile::kStepBytes) {
#pragma unroll
    for (int tap = 0; tap < kTaps; ++tap) {
      uint32_t b[Tile::kTilesN][2];
      load_weight_fragments<Tile>(b, weight, tap, step);
#pragma unroll
      for (int i = 0; i < Tile::kTilesM / kStride; ++i) {
        uint32_t a[4];
        load_cells<Tile>(a, cells[i] + tap * Tile::kCellPitch + step);
        multiply<Tile>(sum[i * kStride], a, b);
      }
    }
  }
}

}  // namespace octconv
