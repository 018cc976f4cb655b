// The 2x2 mean, or sum, of the high input, as 16 bytes of each pixel of a window.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>

namespace octconv {

// The mean of the pixels that are there, or their sum; rounded once.
template <typename T>
struct Pooled {
  static constexpr int kElements = 16 / sizeof(T);
  float sum[kElements];

  __device__ __forceinline__ explicit Pooled(const ptx::Word128& word) {
    T element[kElements];
    memcpy(element, &word, 16);
    for (int i = 0; i < kElements; ++i) sum[i] = ptx::widen(element[i]);
  }
  __device__ __forceinline__ void add(const ptx::Word128& word) {
    T element[kElements];
    memcpy(element, &word, 16);
    for (int i = 0; i < kElements; ++i) sum[i] += ptx::widen(element[i]);
  }
  __device__ __forceinline__ ptx::Word128 rounded(float factor) const {
    T element[kElements];
    for (int i = 0; i < kElements; ++i) ptx::narrow(element[i], sum[i] * factor);
    ptx::Word128 word;
    memcpy(&word, element, 16);
    return word;
  }
};

// One over how many pixels of a 2x2 window are there, from which so many rows and columns of its
// map are left.
__device__ __forceinline__ float share(int32_t rows, int32_t columns) {
  return (rows > 1 ? 0.5f : 1.0f) * (columns > 1 ? 0.5f : 1.0f);
}

// A 2x2 window with `rows` x `columns` pixels in it, 16 bytes of each. Loading and adding are
// apart, so that loads of several windows can be under way.
template <typename T>
struct Window {
  ptx::Word128 word[4] = {};
  float factor = 0;

  __device__ __forceinline__ void load(const char* source, int64_t row_bytes, int64_t pixel_bytes,
                                       int32_t rows, int32_t columns, bool sums) {
    factor = sums ? 1.0f : share(rows, columns);
    ptx::load_constant(word[0], source);
    if (columns > 1) ptx::load_constant(word[1], source + pixel_bytes);
    if (rows > 1) ptx::load_constant(word[2], source + row_bytes);
    if (rows > 1 && columns > 1) ptx::load_constant(word[3], source + row_bytes + pixel_bytes);
  }
  __device__ __forceinline__ ptx::Word128 pooled() const {
    Pooled<T> sum(word[0]);
    for (int i = 1; i < 4; ++i) sum.add(word[i]);
    return sum.rounded(factor);
  }
};

// The pool of the pools of a 4x4 window, each rounded.
template <typename T>
__device__ __forceinline__ ptx::Word128 pool_twice(const char* source, int64_t row_bytes,
                                                   int64_t pixel_bytes, int32_t rows,
                                                   int32_t columns) {
  Pooled<T> pooled(ptx::Word128{});
#pragma unroll 1
  for (int32_t y = 0; y < rows; y += 2) {
#pragma unroll 1
    for (int32_t x = 0; x < columns; x += 2) {
      Window<T> window;
      window.load(source + y * row_bytes + x * pixel_bytes, row_bytes, pixel_bytes,
                  rows - y < 2 ? 1 : 2, columns - x < 2 ? 1 : 2, false);
      pooled.add(window.pooled());
    }
  }
  return pooled.rounded(share(rows > 2 ? 2 : 1, columns > 2 ? 2 : 1));
}

}  // namespace octconv
