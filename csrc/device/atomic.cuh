// What orders the memory of different blocks, in the scope of one device.
#pragma once

#include <cstdint>

namespace octconv::ptx {

// Parallel Synchronization and Communication Instructions: fence. Orders what this thread wrote and
// saw before it against the relaxed atomics behind it, and the reverse.
__device__ __forceinline__ void fence_device() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }

// Parallel Synchronization and Communication Instructions: atom. Returns the old value. It orders
// nothing by itself.
__device__ __forceinline__ uint32_t atomic_add_relaxed(uint32_t* address, uint32_t value) {
  uint32_t old;
  asm volatile("atom.relaxed.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(old)
               : "l"(address), "r"(value)
               : "memory");
  return old;
}

// Parallel Synchronization and Communication Instructions: atom. Releases what came before it, that
// which this thread saw through barriers included, and acquires what others released.
__device__ __forceinline__ uint32_t atomic_add(uint32_t* address, uint32_t value) {
  uint32_t old;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(old)
               : "l"(address), "r"(value)
               : "memory");
  return old;
}

}  // namespace octconv::ptx
