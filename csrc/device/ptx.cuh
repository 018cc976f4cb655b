// One function per instruction; the only file with asm. Above each stands its section of the PTX
// ISA manual (docs.nvidia.com/cuda/parallel-thread-execution). Kernels include this file as
// <device/ptx.cuh> and use nothing else of CUDA, so another file of that name can run them on a
// CPU.
#pragma once

#include <cstdint>

#include "dtype.h"

namespace octconv::ptx {

// 16 bytes, the most that one instruction of a thread moves.
struct alignas(16) Word128 {
  uint32_t word[4];
};

// Special Registers: %tid
__device__ __forceinline__ uint32_t thread_x() {
  uint32_t value;
  asm("mov.u32 %0, %%tid.x;" : "=r"(value));
  return value;
}
__device__ __forceinline__ uint32_t thread_y() {
  uint32_t value;
  asm("mov.u32 %0, %%tid.y;" : "=r"(value));
  return value;
}

// Special Registers: %ntid
__device__ __forceinline__ uint32_t threads_x() {
  uint32_t value;
  asm("mov.u32 %0, %%ntid.x;" : "=r"(value));
  return value;
}
__device__ __forceinline__ uint32_t threads_y() {
  uint32_t value;
  asm("mov.u32 %0, %%ntid.y;" : "=r"(value));
  return value;
}

// Special Registers: %ctaid
__device__ __forceinline__ uint32_t block_x() {
  uint32_t value;
  asm("mov.u32 %0, %%ctaid.x;" : "=r"(value));
  return value;
}

// Data Movement and Conversion Instructions: ld.global.nc. The memory must not be written while the
// kernel runs. Not volatile, so that several loads can be in flight.
__device__ __forceinline__ void load_global(Word128& value, const void* address) {
  asm("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
      : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
      : "l"(address));
}
__device__ __forceinline__ void load_global(uint64_t& value, const void* address) {
  asm("ld.global.nc.b64 %0, [%1];" : "=l"(value) : "l"(address));
}
__device__ __forceinline__ void load_global(uint32_t& value, const void* address) {
  asm("ld.global.nc.b32 %0, [%1];" : "=r"(value) : "l"(address));
}
__device__ __forceinline__ void load_global(uint16_t& value, const void* address) {
  asm("ld.global.nc.b16 %0, [%1];" : "=h"(value) : "l"(address));
}

// Data Movement and Conversion Instructions: st
__device__ __forceinline__ void store_global(void* address, Word128 value) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(value.word[0]),
               "r"(value.word[1]), "r"(value.word[2]), "r"(value.word[3])
               : "memory");
}
__device__ __forceinline__ void store_global(void* address, uint64_t value) {
  asm volatile("st.global.b64 [%0], %1;" ::"l"(address), "l"(value) : "memory");
}
__device__ __forceinline__ void store_global(void* address, uint32_t value) {
  asm volatile("st.global.b32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
}
__device__ __forceinline__ void store_global(void* address, uint16_t value) {
  asm volatile("st.global.b16 [%0], %1;" ::"l"(address), "h"(value) : "memory");
}

// Data Movement and Conversion Instructions: cvt, and mov: a bfloat16 is a float32's upper half.
__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ double widen(double value) { return value; }
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

__device__ __forceinline__ void narrow(float& value, float wide) { value = wide; }
__device__ __forceinline__ void narrow(double& value, double wide) { value = wide; }
__device__ __forceinline__ void narrow(Float16& value, float wide) {
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(value.bits) : "f"(wide));
}
__device__ __forceinline__ void narrow(BFloat16& value, float wide) {
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(value.bits) : "f"(wide));
}

}  // namespace octconv::ptx
