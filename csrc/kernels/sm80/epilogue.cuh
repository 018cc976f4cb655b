// What inference does to the sums of the portable kernels.
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

// All of it for two sums of a lane in one n8 tile: little to hold in registers.
template <typename T>
struct LaneEpilogue {
  const float* scale;  // at the first column of the lane
  const float* shift;
  const T* residual;  // at the pixel and the first column of the lane, or null
  Activation activation;

  // `column` counts on from the lane's first one.
  __device__ __forceinline__ void apply(float (&pair)[2], int32_t column) const {
    const PairOf<float> factor = load_pair(scale + column), term = load_pair(shift + column);
    PairOf<T> addend{};
    if (residual) addend = load_pair(residual + column);
    for (int i = 0; i < 2; ++i) {
      pair[i] = pair[i] * factor.element[i] + term.element[i] + ptx::widen(addend.element[i]);
    }
    activate(pair, activation);
  }
};

}  // namespace octconv
