// Products of matrices in double precision, which more of the emulation's time goes to than to
// anything else: in vectors that registers hold, a quarter as much as g++ makes of plain loops.
#pragma once

#include <cstdint>
#include <cstring>

namespace emulation {

constexpr uint32_t kRowSums = 8;  // columns at a time

// Adds to sums of one row what a's columns give, `a_stride` apart, with as many rows of b,
// `b_stride` apart.
inline void add_row_sums(double (&sums)[kRowSums], const double* a, uint32_t a_stride,
                         const double* b, uint32_t b_stride, uint32_t depth) {
  using Pair = double __attribute__((vector_size(2 * sizeof(double))));
  Pair pairs[kRowSums / 2];
  std::memcpy(pairs, sums, sizeof sums);
  for (uint32_t k = 0; k < depth; ++k) {
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kRowSums / 2; ++i) {
      Pair factors;
      std::memcpy(&factors, b + k * b_stride + 2 * i, sizeof factors);
      pairs[i] += a[k * a_stride] * factors;
    }
  }
  std::memcpy(sums, pairs, sizeof sums);
}

}  // namespace emulation
