// Buffers in shared memory that go round between the threads that load and those that multiply.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/barrier.cuh"

namespace octconv::sm90 {

// Tells a barrier for a warp.
__device__ __forceinline__ void arrive_once(uint32_t barrier) {
  ptx::sync_warp();
  if (ptx::lane() == 0) ptx::arrive(barrier);
}

// Tells a barrier for a warp whose lanes have read a buffer by ordinary loads, or written: what
// tensor copies and products do there comes later.
__device__ __forceinline__ void hand_over(uint32_t barrier) {
  ptx::fence_shared();
  arrive_once(barrier);
}

// Buffers that are filled and emptied in turns, and the barriers that say which they are.
struct BufferRing {
  uint32_t memory, barriers;
  int32_t buffers, bytes;
  int32_t index = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ uint32_t buffer() const { return memory + index * bytes; }
  __device__ __forceinline__ uint32_t full() const {
    return barriers + index * 2 * ptx::kBarrierBytes;
  }
  __device__ __forceinline__ uint32_t empty() const { return full() + ptx::kBarrierBytes; }
  __device__ __forceinline__ void advance() {
    if (++index == buffers) index = 0, parity ^= 1;
  }
  // By one thread; the block's barrier must follow.
  __device__ __forceinline__ void init(int32_t emptied_by) const {
    for (BufferRing ring = *this; ring.parity == 0; ring.advance()) {
      ptx::init_barrier(ring.full(), 1);
      ptx::init_barrier(ring.empty(), emptied_by);
    }
  }
};

}  // namespace octconv::sm90
