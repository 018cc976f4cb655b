// Host twin of csrc/device/math.cuh.
#pragma once

#include <cmath>

namespace octconv::ptx {

// What is subnormal counts as zero.
inline float without_subnormal(float value) {
  return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value;
}

inline float exp2_approximate(float value) {
  return without_subnormal(std::exp2(without_subnormal(value)));
}

inline float reciprocal_approximate(float value) {
  return without_subnormal(1 / without_subnormal(value));
}

inline float max_or_nan(float a, float b) {
  return std::isnan(a) || std::isnan(b) ? NAN : std::fmax(a, b);
}

}  // namespace octconv::ptx
