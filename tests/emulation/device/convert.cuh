// Host twin of csrc/device/convert.cuh.
#pragma once

#include <cstdint>
#include <type_traits>

#include "dtype.h"
#include "runtime/convert.h"
#include "runtime/warp.h"

namespace octconv::ptx {

inline float as_float(uint32_t bits) { return emulation::float_of_bits(bits); }
inline uint32_t as_bits(float value) { return emulation::bits_of_float(value); }

inline float widen(float value) { return value; }
inline double widen(double value) { return value; }
inline float widen(TFloat32 value) { return as_float(value.bits); }
inline float widen(Float16 value) { return emulation::widen(value); }
inline float widen(BFloat16 value) { return emulation::widen(value); }

inline void narrow(float& value, float wide) { value = wide; }
inline void narrow(double& value, double wide) { value = wide; }
inline void narrow(TFloat32& value, float wide) { value.bits = as_bits(wide); }
inline void narrow(Float16& value, float wide) { value = emulation::narrow_float16(wide); }
inline void narrow(BFloat16& value, float wide) { value = emulation::narrow_bfloat16(wide); }

template <typename T>
uint32_t narrow_pair(float low, float high) {
  static_assert(std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>);
  T pair[2];
  narrow(pair[0], low);
  narrow(pair[1], high);
  return pair[0].bits | uint32_t{pair[1].bits} << 16;
}

inline uint32_t round_tf32(uint32_t float_bits) { return emulation::round_tf32(float_bits); }

}  // namespace octconv::ptx
