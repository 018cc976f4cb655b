// What inference does to the sums of the portable kernels before it adds residuals.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "columns.cuh"
#include "kernels/epilogue.cuh"
#include "params/forward_sm80.h"

namespace octconv {

// The first kRows m16 tiles: one pass, so that each factor is loaded once.
template <typename Traits, int kRows>
__device__ __forceinline__ void scale_sums(float (*sum)[Traits::kTilesN][4], const ForwardParams& p,
                                           const Program& program, int32_t first_column) {
#pragma unroll
  for (int n = 0; n < Traits::kTilesN; ++n) {
    const int32_t column = first_column + sum_column<Traits>(n);
    PairOf<float> factor{}, term{};
    if (column < program.columns) {
      factor = load_pair(p.scale + program.first_column + column);
      term = load_pair(p.shift + program.first_column + column);
    }
#pragma unroll
    for (int m = 0; m < kRows; ++m) {
      for (int i = 0; i < 4; ++i) {
        sum[m][n][i] = sum[m][n][i] * factor.element[i % 2] + term.element[i % 2];
      }
    }
  }
}

}  // namespace octconv
