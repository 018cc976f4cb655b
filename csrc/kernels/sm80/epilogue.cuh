// What inference does to sums: activation(sum * scale + shift + residual).
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>
#include <type_traits>

#include "columns.cuh"
#include "params/forward_sm80.h"

namespace octconv {

template <typename T>
struct PairOf {
  T element[2];
};

template <typename T>
__device__ __forceinline__ PairOf<T> load_pair(const T* address) {
  std::conditional_t<sizeof(T) == 2, uint32_t, uint64_t> word;
  ptx::load_constant(word, address);
  PairOf<T> pair;
  memcpy(&pair, &word, sizeof(pair));
  return pair;
}

template <int kCount>
__device__ __forceinline__ void activate(float (&value)[kCount], Activation activation) {
  if (activation == Activation::kRelu) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) value[i] = ptx::max_or_nan(value[i], 0);
  } else if (activation == Activation::kSilu) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float power = ptx::exp2_approximate(-1.4426950408889634f * value[i]);
      value[i] *= ptx::reciprocal_approximate(1 + power);
    }
  }
}

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

// Eight scaled sums of columns beside each other, as many of the residual.
template <typename T>
__device__ __forceinline__ void finish_values(float (&value)[8], const ptx::Word128& residual,
                                              Activation activation) {
  T addend[8];
  memcpy(addend, &residual, sizeof(addend));
#pragma unroll
  for (int i = 0; i < 8; ++i) value[i] += ptx::widen(addend[i]);
  activate(value, activation);
}

// The same, scaling included, for two sums of a lane in one n8 tile: little to hold in registers.
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
