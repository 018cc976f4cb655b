// Window sizes: a kernel may have two.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>
#include <type_traits>

namespace octconv {

// Taps along an axis: a constant where a kernel has windows of one size.
template <typename Traits, typename Params>
__device__ __forceinline__ int32_t taps_of(const Params& p) {
  return Traits::kLeastTaps == Traits::kMostTaps ? Traits::kMostTaps : p.taps;
}

// Calls visit(std::integral_constant) with the taps along an axis, of which a kernel has loops of
// their own.
template <typename Traits, typename Visit>
__device__ __forceinline__ void with_taps(int32_t taps, const Visit& visit) {
  if (Traits::kLeastTaps < Traits::kMostTaps && taps == Traits::kLeastTaps) {
    visit(std::integral_constant<int, Traits::kLeastTaps>());
  } else {
    visit(std::integral_constant<int, Traits::kMostTaps>());
  }
}

}  // namespace octconv
