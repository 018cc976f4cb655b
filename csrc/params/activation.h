// Plain C++.
#pragma once

#include <cstdint>

namespace octconv {

// What an epilogue ends with; the numbers are those of octconv_cuda::inference.
enum class Activation : int32_t { kNone, kRelu, kSilu };

// Whether it only bounds values, which kernels do in place; others are an activate() of their own.
constexpr bool only_bounds(Activation activation) {
  return activation == Activation::kNone || activation == Activation::kRelu;
}

}  // namespace octconv
