// Where the weight gradient kernels store what they have summed up: elements of the gradients, or
// floats, which partial sums are, and gradients that are asked for in float32.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "params/weight_grad_sm80.h"

namespace octconv {

// Floats or elements by a parameter of the launch: one code for both but for the stores themselves.
template <typename T>
struct GradOutput {
  char* first;
  bool floats;
  WeightStrides bytes;  // from one row, tap and column to the next

  static __device__ __forceinline__ GradOutput of(void* first, bool floats,
                                                  const WeightStrides& strides) {
    const int64_t size = floats ? sizeof(float) : sizeof(T);
    return {static_cast<char*>(first),
            floats,
            {strides.row * size, strides.tap * size, strides.column * size}};
  }
  static __device__ __forceinline__ GradOutput of_weight(const WeightGradParams& p) {
    return of(p.dweight, sizeof(T) == 4 || p.wide_output, p.strides);
  }
  static __device__ __forceinline__ GradOutput of_bias(const WeightGradParams& p) {
    return of(p.dbias, sizeof(T) == 4 || p.wide_output, {1, 0, 1});
  }
  static __device__ __forceinline__ GradOutput of_partial(float* first,
                                                          const WeightStrides& strides) {
    return of(first, true, strides);
  }

  __device__ __forceinline__ char* at(int64_t row, int64_t tap = 0, int64_t column = 0) const {
    return first + row * bytes.row + tap * bytes.tap + column * bytes.column;
  }
  __device__ __forceinline__ GradOutput from(int64_t row, int64_t tap = 0,
                                             int64_t column = 0) const {
    return {at(row, tap, column), floats, bytes};
  }

  __device__ __forceinline__ void store_if(bool wanted, char* to, float value) const {
    if constexpr (sizeof(T) == 4) {
      ptx::store_global_if(wanted, to, ptx::as_bits(value));
    } else {
      T element;
      ptx::narrow(element, value);
      ptx::store_global_if(wanted && floats, to, ptx::as_bits(value));
      ptx::store_global_if(wanted && !floats, to, element.bits);
    }
  }

  // Calls visit(store_pair), which stores two columns, the first of them even, where they are
  // wanted: at once where columns lie beside each other.
  template <typename Visit>
  __device__ __forceinline__ void with_pairs(const Visit& visit) const {
    if (bytes.column == static_cast<int64_t>(floats ? sizeof(float) : sizeof(T))) {
      visit(
          [&](bool wanted, char* to, float one, float two) { store_beside(wanted, to, one, two); });
    } else {
      visit([&](bool wanted, char* to, float one, float two) {
        store_if(wanted, to, one);
        store_if(wanted, to + bytes.column, two);
      });
    }
  }
  __device__ __forceinline__ void store_beside(bool wanted, char* to, float one, float two) const {
    const uint64_t both = uint64_t{ptx::as_bits(one)} | uint64_t{ptx::as_bits(two)} << 32;
    if constexpr (sizeof(T) == 4) {
      ptx::store_global_if(wanted, to, both);
    } else {
      ptx::store_global_if(wanted && floats, to, both);
      ptx::store_global_if(wanted && !floats, to, ptx::narrow_pair<T>(one, two));
    }
  }
};

}  // namespace octconv
