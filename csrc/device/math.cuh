// Functions of single numbers.
#pragma once

namespace octconv::ptx {

// Floating Point Instructions: ex2.approx.f32. 2 to the power of value, to 2^-22 of the result.
__device__ __forceinline__ float exp2_approximate(float value) {
  float power;
  asm("ex2.approx.f32 %0, %1;" : "=f"(power) : "f"(value));
  return power;
}

// Floating Point Instructions: rcp.approx.f32. One over value, to one unit in the last place.
__device__ __forceinline__ float reciprocal_approximate(float value) {
  float reciprocal;
  asm("rcp.approx.f32 %0, %1;" : "=f"(reciprocal) : "f"(value));
  return reciprocal;
}

}  // namespace octconv::ptx
