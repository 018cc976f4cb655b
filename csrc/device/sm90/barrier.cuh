// Barriers in shared memory that count arrivals and bytes (sm_90). device/ptx.cuh does not include
// the files of this folder.
#pragma once

#include <cstdint>

namespace octconv::ptx {

constexpr uint32_t kBarrierBytes = 8;

// Parallel Synchronization and Communication Instructions: mbarrier.init. A phase of the barrier
// ends with the `arrivals`th arrival, when all bytes that it expects have come.
__device__ __forceinline__ void init_barrier(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Parallel Synchronization and Communication Instructions: fence.mbarrier_init. Makes barriers just
// initialised known to the tensor copies of other threads.
__device__ __forceinline__ void fence_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Parallel Synchronization and Communication Instructions: mbarrier.arrive
__device__ __forceinline__ void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Parallel Synchronization and Communication Instructions: mbarrier.arrive.expect_tx
__device__ __forceinline__ void arrive_expecting(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

// Parallel Synchronization and Communication Instructions: mbarrier.try_wait.parity. Whether the
// phase of this parity, the current one or the one before it, has ended; it waits for a while.
__device__ __forceinline__ bool try_wait(uint32_t barrier, uint32_t parity) {
  uint32_t ended;
  asm volatile(
      "{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
      : "=r"(ended)
      : "r"(barrier), "r"(parity)
      : "memory");
  return ended;
}

__device__ __forceinline__ void wait_barrier(uint32_t barrier, uint32_t parity) {
  while (!try_wait(barrier, parity)) {
  }
}

// Parallel Synchronization and Communication Instructions: fence.proxy.async. What this thread
// read of shared memory, and wrote to it, comes before what multiply_async and tensor copies do
// with it later.
__device__ __forceinline__ void fence_shared() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

}  // namespace octconv::ptx
