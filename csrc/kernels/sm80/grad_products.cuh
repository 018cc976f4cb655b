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
// The sums of dy, each of them eight times: products with ones.
template <typename Traits>
using BiasSums = float[Traits::kTilesM][4];

// How a warp takes the 32 pixels of a step. 16-bit types: each lane points at its own pixel, and
// all of them make two products. tf32, which has no transposing load: eight pixels make a product,
// and a lane loads words of two of them.
template <typename T>
struct StepShape {
  static constexpr int kProducts = 2, kLanePixels = 1, kTurns = 1;
  static __device__ __forceinline__ uint32_t pixel(int32_t, int) { return ptx::lane(); }
};
template <>
struct StepShape<TFloat32> {
  static constexpr int kProducts = 1, kLanePixels = 2, kTurns = 4;
  static __device__ __forceinline__ uint32_t pixel(int32_t turn, int i) {
    return 8 * turn + 4 * i + ptx::lane() % 4;
  }
};

template <typename T>
__device__ __forceinline__ constexpr uint32_t pair_of_ones();
template <>
__device__ __forceinline__ constexpr uint32_t pair_of_ones<BFloat16>() {
  return 0x3f803f80;
}
template <>
__device__ __forceinline__ constexpr uint32_t pair_of_ones<Float16>() {
  return 0x3c003c00;
}
template <>
__device__ __forceinline__ constexpr uint32_t pair_of_ones<TFloat32>() {
  return 0x3f800000;
}

// Eight channels of the step's pixels: fragment[product][k half]. `cell` is where a lane's pixels
// begin, with its own channel in tf32.
template <typename T>
__device__ __forceinline__ void load_channels(uint32_t (&fragment)[StepShape<T>::kProducts][2],
                                              const uint32_t (&cell)[StepShape<T>::kLanePixels],
                                              uint32_t offset) {
  if constexpr (sizeof(T) == 2) {
    uint32_t matrix[4];
    ptx::load_matrix_transposed(matrix, cell[0] + offset);
#pragma unroll
    for (int i = 0; i < 4; ++i) fragment[i / 2][i % 2] = matrix[i];
  } else {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      ptx::load_shared(fragment[0][i], cell[i] + offset);
      round_operand<T>(fragment[0][i]);
    }
  }
}

// dy and x: where the lane's pixels begin, at the warp's first row and column; x at the first tap.
template <typename Traits>
__device__ __forceinline__ void multiply_pixels(
    GradSums<Traits>& sum, BiasSums<Traits>& bias, bool with_bias,
    const uint32_t (&dy)[StepShape<typename Traits::T>::kLanePixels],
    const uint32_t (&x)[StepShape<typename Traits::T>::kLanePixels], int32_t x_row_stride) {
  using T = typename Traits::T;
  using Step = StepShape<T>;
  constexpr uint32_t kTileBytes = 8 * sizeof(T);
  uint32_t a[Step::kProducts][Traits::kTilesM][4];
#pragma unroll
  for (int m = 0; m < Traits::kTilesM; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t fragment[Step::kProducts][2];
      load_channels<T>(fragment, dy, (2 * m + half) * kTileBytes);
#pragma unroll
      for (int i = 0; i < Step::kProducts; ++i) {
        a[i][m][half] = fragment[i][0];
        a[i][m][half + 2] = fragment[i][1];
      }
    }
  }
  if (with_bias) {
    const uint32_t ones[2] = {pair_of_ones<T>(), pair_of_ones<T>()};
#pragma unroll
    for (int i = 0; i < Step::kProducts; ++i) {
#pragma unroll
      for (int m = 0; m < Traits::kTilesM; ++m) ptx::mma<T>(bias[m], a[i][m], ones);
    }
  }
#pragma unroll
  for (int r = 0; r < Traits::kTapRows; ++r) {
    uint32_t row[Step::kLanePixels];
#pragma unroll
    for (int i = 0; i < Step::kLanePixels; ++i) row[i] = x[i] + r * x_row_stride;
#pragma unroll
    for (int s = 0; s < Traits::kTaps; ++s) {
#pragma unroll
      for (int n = 0; n < Traits::kTilesN; ++n) {
        uint32_t b[Step::kProducts][2];
        load_channels<T>(b, row, s * Traits::kXPitch + n * kTileBytes);
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
