// The inner loop of the weight gradient: one step of pixels into the sums of a warp. Pixels are
// what the products run over, so both operands come transposed: dy as rows of a, x as columns of b.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "dtype.h"
#include "weight.cuh"

namespace octconv {

template <typename Traits>
using GradSums = float[Traits::kTapRows][Traits::kTaps][Traits::kTilesM][Traits::kTilesN][4];
// The lane's part of the sums of dy: of the rows lane / 4 of each eight.
template <typename Traits>
using BiasSums = float[Traits::kTilesM][2];

// How a warp takes the 32 pixels of a step. 16-bit types: all of them make two products, and of x
// each lane points at its own pixel. tf32, which has no transposing load: eight pixels make a
// product, and a lane loads words of two of them.
template <typename T>
struct StepShape {
  static constexpr int kProducts = 2, kPixels = 16, kLanePixels = 1, kTurns = 1;
  static __device__ __forceinline__ uint32_t pixel(int32_t, int) { return ptx::lane(); }
};
template <>
struct StepShape<TFloat32> {
  static constexpr int kProducts = 1, kPixels = 8, kLanePixels = 2, kTurns = 4;
  static __device__ __forceinline__ uint32_t pixel(int32_t turn, int i) {
    return 8 * turn + 4 * i + ptx::lane() % 4;
  }
};

// Where a lane finds dy in the cells of a step, in bytes. Of 16-bit types one load makes a whole
// fragment: matrices of 8 pixels x 8 channels, the next channels, then the same of the next pixels.
template <typename Traits>
__device__ __forceinline__ uint32_t dy_lane_offset() {
  const uint32_t lane = ptx::lane();
  if constexpr (sizeof(typename Traits::T) == 2) {
    return (lane % 8 + lane / 16 * 8) * Traits::kDyPitch + lane / 8 % 2 * 16;
  } else {
    return lane % 4 * Traits::kDyPitch + lane / 4 * 4;
  }
}

// Rows of dy, 16 of them, and the pixels of one product; not rounded yet.
template <typename Traits>
__device__ __forceinline__ void load_dy_fragment(uint32_t (&a)[4], uint32_t dy) {
  if constexpr (sizeof(typename Traits::T) == 2) {
    ptx::load_matrix_transposed(a, dy);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      ptx::load_shared(a[i], dy + i % 2 * 32 + i / 2 * 4 * Traits::kDyPitch);
    }
  }
}

// Words 0 and 2 of a fragment of dy are of one row, 1 and 3 of the other.
template <typename T>
__device__ __forceinline__ void add_dy(float (&bias)[2], const uint32_t (&a)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(T) == 2) {
      bias[i % 2] += ptx::widen(T{static_cast<uint16_t>(a[i])});
      bias[i % 2] += ptx::widen(T{static_cast<uint16_t>(a[i] >> 16)});
    } else {
      bias[i % 2] += ptx::as_float(a[i]);
    }
  }
}

// Eight columns of x: b[product][k half]. `cell` is where a lane's pixels begin, with its own
// channel in tf32.
template <typename T>
__device__ __forceinline__ void load_x_fragments(uint32_t (&b)[StepShape<T>::kProducts][2],
                                                 const uint32_t (&cell)[StepShape<T>::kLanePixels],
                                                 uint32_t offset) {
  if constexpr (sizeof(T) == 2) {
    uint32_t matrix[4];
    ptx::load_matrix_transposed(matrix, cell[0] + offset);
#pragma unroll
    for (int i = 0; i < 4; ++i) b[i / 2][i % 2] = matrix[i];
  } else {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      ptx::load_shared(b[0][i], cell[i] + offset);
      round_operand<T>(b[0][i]);
    }
  }
}

// Of taps that are not there sums stay zero. dy: where the lane finds it, at the warp's first row;
// x: where the lane's pixels begin, at the first tap and the warp's first column.
template <typename Traits, int kTaps>
__device__ __forceinline__ void multiply_pixels(
    GradSums<Traits>& sum, BiasSums<Traits>& bias, bool with_bias, uint32_t dy,
    const uint32_t (&x)[StepShape<typename Traits::T>::kLanePixels], int32_t x_row_stride) {
  using T = typename Traits::T;
  using Step = StepShape<T>;
  uint32_t a[Step::kProducts][Traits::kTilesM][4];
#pragma unroll
  for (int i = 0; i < Step::kProducts; ++i) {
#pragma unroll
    for (int m = 0; m < Traits::kTilesM; ++m) {
      load_dy_fragment<Traits>(a[i][m],
                               dy + i * Step::kPixels * Traits::kDyPitch + m * 16 * sizeof(T));
    }
  }
#pragma unroll
  for (int i = 0; i < Step::kProducts; ++i) {
#pragma unroll
    for (int m = 0; m < Traits::kTilesM; ++m) {
      if (with_bias) add_dy<T>(bias[m], a[i][m]);
      for (uint32_t& word : a[i][m]) round_operand<T>(word);
    }
  }
#pragma unroll
  for (int r = 0; r < Traits::kTapRows; ++r) {
    uint32_t row[Step::kLanePixels];
#pragma unroll
    for (int i = 0; i < Step::kLanePixels; ++i) row[i] = x[i] + r * x_row_stride;
#pragma unroll
    for (int s = 0; s < kTaps; ++s) {
#pragma unroll
      for (int n = 0; n < Traits::kTilesN; ++n) {
        uint32_t b[Step::kProducts][2];
        load_x_fragments<T>(b, row, s * Traits::kXPitch + n * 8 * sizeof(T));
#pragma unroll
        for (int i = 0; i < Step::kProducts; ++i) {
#pragma unroll
          for (int m = 0; m < Traits::kTilesM; ++m) ptx::mma<T>(sum[r][s][m][n], a[i][m], b[i]);
        }
      }
    }
  }
}

}  // namespace octconv
