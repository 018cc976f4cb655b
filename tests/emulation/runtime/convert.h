// Element types to float and back, by the definitions of the formats.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "dtype.h"

namespace emulation {

inline float float_of_bits(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t bits_of_float(float value) { return std::bit_cast<uint32_t>(value); }

inline float widen(octconv::BFloat16 value) { return float_of_bits(uint32_t{value.bits} << 16); }

inline float widen(octconv::Float16 value) {
  const uint32_t sign = uint32_t{value.bits} >> 15 << 31;
  const uint32_t exponent = value.bits >> 10 & 31, fraction = value.bits & 1023;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t wide_exponent = exponent == 31 ? 255 : exponent + 112;
  return float_of_bits(sign | wide_exponent << 23 | fraction << 13);
}

// To the nearest, ties to even. NaN becomes the canonical one, as the hardware makes it.
inline octconv::BFloat16 narrow_bfloat16(float value) {
  if (std::isnan(value)) return {0x7FFF};
  const uint32_t bits = bits_of_float(value);
  return {static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)};
}

inline octconv::Float16 narrow_float16(float value) {
  if (std::isnan(value)) return {0x7FFF};
  const uint16_t sign = bits_of_float(value) >> 31 << 15;
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7C00)};
  if (magnitude < 0x1p-14f) {  // nearbyint rounds halves to even
    return {
        static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24f)))};
  }
  const uint32_t bits = bits_of_float(magnitude) - (112u << 23);
  return {static_cast<uint16_t>(sign | (bits + 0xFFF + (bits >> 13 & 1)) >> 13)};
}

}  // namespace emulation
