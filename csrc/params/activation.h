// Plain C++.
#pragma once

#include <cstdint>

namespace octconv {

// What an epilogue ends with; the numbers are those of octconv_cuda::inference.
enum class Activation : int32_t { kNone, kRelu, kSilu };

}  // namespace octconv
