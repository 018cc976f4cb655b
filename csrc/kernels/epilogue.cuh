// What inference does to sums, activation(sum * scale + shift + residual): parts of it.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>
#include <type_traits>

#include "params/activation.h"

namespace octconv {

template <typename T>
struct PairOf {
  T element[2];
};

template <typename T>
__device__ __forceinline__ PairOf<T> load_pair(const T* address) {
  std::conditional_t<sizeof(T) == 2, uint32_t, uint64_t> word;
  ptx::load_global(word, address);
  PairOf<T> pair;
  memcpy(&pair, &word, sizeof(pair));
  return pair;
}

// Of ReLU; of no activation, to leave them as they are.
template <int kCount>
__device__ __forceinline__ void bound(float (&value)[kCount], Activation activation) {
  const float least = activation == Activation::kRelu ? 0.0f : -INFINITY;
#pragma unroll
  for (int i = 0; i < kCount; ++i) value[i] = ptx::max_or_nan(value[i], least);
}

template <int kCount>
__device__ __forceinline__ void activate(float (&value)[kCount], Activation activation) {
  if (only_bounds(activation)) return bound(value, activation);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {  // SiLU
    const float power = ptx::exp2_approximate(-1.4426950408889634f * value[i]);
    value[i] *= ptx::reciprocal_approximate(1 + power);
  }
}

// Scaled sums of columns beside each other, as many as 16 bytes of the residual.
template <typename T>
__device__ __forceinline__ void finish_values(float (&value)[16 / sizeof(T)],
                                              const ptx::Word128& residual, Activation activation) {
  constexpr int kCount = 16 / sizeof(T);
  T addend[kCount];
  memcpy(addend, &residual, sizeof(addend));
#pragma unroll
  for (int i = 0; i < kCount; ++i) value[i] += ptx::widen(addend[i]);
  activate(value, activation);
}

}  // namespace octconv
