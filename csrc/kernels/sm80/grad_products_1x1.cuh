// The inner loop of weight_grad_1x1_sm80: sixteen quads into the sums of a warp. Tensor cores pool,
// too: a fragment of sixteen pixels times one that has a weight where a pixel belongs to a quad
// gives the sums of four quads, and these lie in the registers as the operands of the low maps do.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "grad_copies_1x1.cuh"
#include "grad_products.cuh"
#include "kernels/window.cuh"

namespace octconv {

// 16 channels of 16 pixels: rows of one operand, or two n8 tiles of columns of the other.
using Fragment = uint32_t[4];

template <typename T>
__device__ __forceinline__ void multiply(float (*sum)[4], const Fragment& a, const Fragment& b) {
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    const uint32_t columns[2] = {b[n], b[n + 2]};
    ptx::mma<T>(sum[n], a, columns);
  }
}

// The fragments that eight quads are summed up with, their pixels in two fragments.
template <typename T>
struct QuadWeights {
  uint32_t word[2][2];

  // Of the quad lane / 4.
  __device__ __forceinline__ explicit QuadWeights(float weight) {
    const uint32_t pair = ptx::narrow_pair<T>(weight, weight);
    const uint32_t quad = ptx::lane() / 4, of_word = ptx::lane() % 4 / 2;
#pragma unroll
    for (int i = 0; i < 4; ++i) word[i / 2][i % 2] = quad == 2 * i + of_word ? pair : 0;
  }
  __device__ __forceinline__ void add(float (&sum)[4], const Fragment& pixels, int i) const {
    ptx::mma<T>(sum, pixels, word[i]);
  }
};

// The sums of eight quads, the first or the second half of a fragment.
template <typename T>
__device__ __forceinline__ void set_half(Fragment& pooled, int half, const float (&sum)[4]) {
  pooled[2 * half] = ptx::narrow_pair<T>(sum[0], sum[1]);
  pooled[2 * half + 1] = ptx::narrow_pair<T>(sum[2], sum[3]);
}

// Rows of a warp times its columns, of two maps of the same resolution.
template <typename Traits>
__device__ __forceinline__ void multiply_all(float (&sum)[Traits::kTilesM][Traits::kTilesN][4],
                                             const Fragment (&rows)[Traits::kTilesM],
                                             const Fragment (&columns)[Traits::kTilesN / 2]) {
#pragma unroll
  for (int m = 0; m < Traits::kTilesM; ++m) {
#pragma unroll
    for (int n = 0; n < Traits::kTilesN; n += 2) {
      multiply<typename Traits::T>(&sum[m][n], rows[m], columns[n / 2]);
    }
  }
}

// Where a lane finds the fragments of its warp in a stage.
template <typename Traits>
struct LaneQuads {
  uint32_t rows, columns;

  __device__ __forceinline__ explicit LaneQuads(int32_t warp_m, int32_t warp_n) {
    const uint32_t lane = ptx::lane(), pixel = lane % 8 + lane / 16 * 8, half = lane / 8 % 2 * 16;
    rows = pixel * Traits::kDyPitch + warp_m * 32 * Traits::kTilesM + half;
    columns = Traits::kXHigh + pixel * Traits::kXPitch + warp_n * 16 * Traits::kTilesN + half;
  }
};

// Sixteen pixels from `first` on; all fragments of a warp.
template <int kCount>
__device__ __forceinline__ void load_fragments(Fragment (&fragments)[kCount], uint32_t cells) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) ptx::load_matrix_transposed(fragments[i], cells + 32 * i);
}

// bias: sums of dy, of high and of low rows.
template <typename Traits>
__device__ __forceinline__ void multiply_quads(GradSums<Traits>& sum, BiasSums<Traits> (&bias)[2],
                                               bool with_bias, const JointGradParams& p,
                                               const QuadWeights<typename Traits::T>& ones,
                                               const QuadWeights<typename Traits::T>& quarters,
                                               int32_t first_quad, uint32_t rows, uint32_t columns,
                                               int32_t step) {
  using T = typename Traits::T;
  constexpr int kTilesM = Traits::kTilesM, kPairs = Traits::kTilesN / 2;
  Fragment pooled_rows[kTilesM], pooled_columns[kPairs];
  const uint32_t high_rows = rows + step * 4 * Traits::kStepQuads * Traits::kDyPitch;
  const uint32_t high_columns = columns + step * 4 * Traits::kStepQuads * Traits::kXPitch;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    QuadWeights<T> means = quarters;
    if (!maps_are_whole(p)) {
      const QuadPixels quad(p, first_quad + 8 * half + ptx::lane() / 4);
      means = QuadWeights<T>(share(quad.below ? 2 : 1, quad.beside ? 2 : 1));
    }
    float row_sum[kTilesM][4] = {}, column_sum[kPairs][4] = {};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      Fragment a[kTilesM], b[kPairs];
      load_fragments(a, high_rows + (2 * half + i) * 16 * Traits::kDyPitch);
      load_fragments(b, high_columns + (2 * half + i) * 16 * Traits::kXPitch);
      multiply_all<Traits>(sum[0][0], a, b);
      for (int m = 0; m < kTilesM; ++m) ones.add(row_sum[m], a[m], i);
      for (int n = 0; n < kPairs; ++n) means.add(column_sum[n], b[n], i);
    }
    for (int m = 0; m < kTilesM; ++m) {
      set_half<T>(pooled_rows[m], half, row_sum[m]);
      if (with_bias) {
        for (int i = 0; i < 4; ++i) bias[0][m][i / 2] += row_sum[m][i];
      }
    }
    for (int n = 0; n < kPairs; ++n) set_half<T>(pooled_columns[n], half, column_sum[n]);
  }
  Fragment a[kTilesM], b[kPairs];
  load_fragments(a, rows + Traits::kDyLow + step * Traits::kStepQuads * Traits::kDyPitch);
  load_fragments(
      b, columns + (Traits::kXLow - Traits::kXHigh) + step * Traits::kStepQuads * Traits::kXPitch);
  multiply_all<Traits>(sum[0][1], pooled_rows, b);
  multiply_all<Traits>(sum[1][0], a, pooled_columns);
  multiply_all<Traits>(sum[1][1], a, b);
  if (with_bias) {
    for (int m = 0; m < kTilesM; ++m) add_dy<T>(bias[1][m], a[m]);
  }
}

}  // namespace octconv
