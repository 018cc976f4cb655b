// The host twin of csrc/device/ptx.cuh: the same functions, so that kernels compile and run on a
// CPU.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "dtype.h"

#define __device__
#define __global__
#define __forceinline__ inline

namespace octconv::ptx {

struct alignas(16) Word128 {
  uint32_t word[4];
};

// The thread that runs now; the driver sets it.
struct Thread {
  uint32_t thread_x, thread_y, threads_x, threads_y, block_x;
};
inline thread_local Thread current;

inline uint32_t thread_x() { return current.thread_x; }
inline uint32_t thread_y() { return current.thread_y; }
inline uint32_t threads_x() { return current.threads_x; }
inline uint32_t threads_y() { return current.threads_y; }
inline uint32_t block_x() { return current.block_x; }

inline void check_aligned(const void* address, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) {
    std::fprintf(stderr, "misaligned access of %zu bytes at %p\n", bytes, address);
    std::abort();
  }
}

template <typename Word>
void load_global(Word& value, const void* address) {
  check_aligned(address, sizeof(Word));
  std::memcpy(&value, address, sizeof(Word));
}

template <typename Word>
void store_global(void* address, Word value) {
  check_aligned(address, sizeof(Word));
  std::memcpy(address, &value, sizeof(Word));
}

inline float widen(float value) { return value; }
inline double widen(double value) { return value; }
inline float widen(Float16 value) { return c10::Half(value.bits, c10::Half::from_bits()); }
inline float widen(BFloat16 value) { return c10::BFloat16(value.bits, c10::BFloat16::from_bits()); }

inline void narrow(float& value, float wide) { value = wide; }
inline void narrow(double& value, double wide) { value = wide; }
inline void narrow(Float16& value, float wide) { value.bits = c10::Half(wide).x; }
inline void narrow(BFloat16& value, float wide) { value.bits = c10::BFloat16(wide).x; }

}  // namespace octconv::ptx
