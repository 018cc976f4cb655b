// Element types to the type that their sums are formed in, and back with one rounding.
#pragma once

#include <cstdint>

#include "dtype.h"

namespace octconv::ptx {

// Data Movement and Conversion Instructions: mov
__device__ __forceinline__ float as_float(uint32_t bits) {
  float value;
  asm("mov.b32 %0, %1;" : "=f"(value) : "r"(bits));
  return value;
}
__device__ __forceinline__ uint32_t as_bits(float value) {
  uint32_t bits;
  asm("mov.b32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

// Data Movement and Conversion Instructions: cvt, and mov: a bfloat16 is a float32's upper half.
__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ double widen(double value) { return value; }
__device__ __forceinline__ float widen(TFloat32 value) { return as_float(value.bits); }
__device__ __forceinline__ float widen(Float16 value) {
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
  return wide;
}
__device__ __forceinline__ float widen(BFloat16 value) {
  float wide;
  asm("mov.b32 %0, {%1, %2};" : "=f"(wide) : "h"(uint16_t{0}), "h"(value.bits));
  return wide;
}

// Data Movement and Conversion Instructions: cvt, to the nearest, ties to even
__device__ __forceinline__ void narrow(float& value, float wide) { value = wide; }
__device__ __forceinline__ void narrow(double& value, double wide) { value = wide; }
__device__ __forceinline__ void narrow(TFloat32& value, float wide) { value.bits = as_bits(wide); }
__device__ __forceinline__ void narrow(Float16& value, float wide) {
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(value.bits) : "f"(wide));
}
__device__ __forceinline__ void narrow(BFloat16& value, float wide) {
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(value.bits) : "f"(wide));
}

// Data Movement and Conversion Instructions: cvt with .f16x2 and .bf16x2; `low` fills the lower
// half of the word.
template <typename T>
__device__ uint32_t narrow_pair(float low, float high);
template <>
__device__ __forceinline__ uint32_t narrow_pair<Float16>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
template <>
__device__ __forceinline__ uint32_t narrow_pair<BFloat16>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

// Data Movement and Conversion Instructions: cvt.rna.tf32, to the nearest, ties away from zero
__device__ __forceinline__ uint32_t round_tf32(uint32_t float_bits) {
  uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(as_float(float_bits)));
  return rounded;
}

}  // namespace octconv::ptx
