// Clusters: blocks that run together, wait for each other and read each other's shared memory
// (sm_90).
#pragma once

#include <cstdint>

#include "device/memory.cuh"

namespace octconv::ptx {

// Special Registers: %cluster_ctarank. Which block of its cluster this one is. Volatile, as the
// thread is.
__device__ __forceinline__ uint32_t cluster_rank() {
  uint32_t value;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(value));
  return value;
}

// Parallel Synchronization and Communication Instructions: barrier.cluster, for all lanes of a
// warp. All threads of the cluster that have not exited arrive, and then wait until all have
// arrived: what they wrote before that, to shared memory too, is seen behind the wait. In a launch
// without clusters the wait is a sync_block, and nobody passes it before all threads have come to
// it.
__device__ __forceinline__ void arrive_cluster() {
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
__device__ __forceinline__ void wait_cluster() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// Data Movement and Conversion Instructions: mapa. Parallel Synchronization and Communication
// Instructions: mbarrier.arrive. At the barrier that the cluster's block of this rank has at this
// address. That block must have started and must not have ended, as for load_cluster. Behind its
// wait_barrier tensor copies may replace what this thread has read; what it has written is released
// to its own block alone, for a wider scope makes the thread wait for all memory.
__device__ __forceinline__ void arrive_at(uint32_t barrier, uint32_t rank) {
  asm volatile(
      "{.reg .b32 a; mapa.shared::cluster.u32 a, %0, %1; "
      "mbarrier.arrive.shared::cluster.b64 _, [a];}" ::"r"(barrier),
      "r"(rank)
      : "memory");
}

// Data Movement and Conversion Instructions: mapa, ld.shared::cluster. What lies at this address of
// shared memory in the cluster's block of this rank. That block must have started and must not have
// ended: barriers of the cluster have to come before the first load and behind the last.
__device__ __forceinline__ void load_cluster(Word128& value, uint32_t address, uint32_t rank) {
  asm volatile(
      "{.reg .b32 a; mapa.shared::cluster.u32 a, %4, %5; "
      "ld.shared::cluster.v4.b32 {%0, %1, %2, %3}, [a];}"
      : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
      : "r"(address), "r"(rank)
      : "memory");
}
__device__ __forceinline__ void load_cluster(uint64_t& value, uint32_t address, uint32_t rank) {
  asm volatile("{.reg .b32 a; mapa.shared::cluster.u32 a, %1, %2; ld.shared::cluster.b64 %0, [a];}"
               : "=l"(value)
               : "r"(address), "r"(rank)
               : "memory");
}
__device__ __forceinline__ void load_cluster(uint32_t& value, uint32_t address, uint32_t rank) {
  asm volatile("{.reg .b32 a; mapa.shared::cluster.u32 a, %1, %2; ld.shared::cluster.b32 %0, [a];}"
               : "=r"(value)
               : "r"(address), "r"(rank)
               : "memory");
}

}  // namespace octconv::ptx
