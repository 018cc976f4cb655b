// Host twin of csrc/device/math.cuh.
#pragma once

#include <cmath>

namespace octconv::ptx {

inline float exp2_approximate(float value) { return std::exp2(value); }

inline float reciprocal_approximate(float value) { return 1 / value; }

}  // namespace octconv::ptx
