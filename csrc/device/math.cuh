// Functions of single numbers.
#pragma once

namespace octconv::ptx {

// The first two take what is subnormal for zero, and give zero for it: to scale it up and down
// would be five instructions more.

// Floating Point Instructions: ex2.approx.ftz.f32. 2 to the power of value, to 2^-22 of the result.
__device__ __forceinline__ float exp2_approximate(float value) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(value));
  return power;
}

// Floating Point Instructions: rcp.approx.ftz.f32. One over value, to one unit in the last place.
__device__ __forceinline__ float reciprocal_approximate(float value) {
  float reciprocal;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(value));
  return reciprocal;
}

// Floating Point Instructions: max.NaN.f32 (sm_80). The larger number; a NaN where one is.
__device__ __forceinline__ float max_or_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}

}  // namespace octconv::ptx
