// Element types to the type that their sums are formed in, and back with one rounding.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include "cpu/simd.h"
#include "dtype.h"

namespace octconv {

OCTCONV_INLINE float widen(float value) { return value; }
OCTCONV_INLINE double widen(double value) { return value; }
OCTCONV_INLINE float widen(BFloat16 value) {
  return c10::BFloat16(value.bits, c10::BFloat16::from_bits());
}
OCTCONV_INLINE float widen(Float16 value) { return c10::Half(value.bits, c10::Half::from_bits()); }

template <typename T>
OCTCONV_INLINE T narrow(Accumulator<T> value) {
  return value;
}
template <>
OCTCONV_INLINE BFloat16 narrow<BFloat16>(float value) {
  return {c10::BFloat16(value).x};
}
template <>
OCTCONV_INLINE Float16 narrow<Float16>(float value) {
  return {c10::Half(value).x};
}

// How many rows make a task worth another thread: about 32768 elements, the size from which
// PyTorch's own element-wise loops split.
constexpr int64_t rows_per_task(int64_t row_elements) { return 1 + 32768 / (row_elements + 1); }

}  // namespace octconv
