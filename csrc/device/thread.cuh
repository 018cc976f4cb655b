// Who a thread is, and how the threads of a warp and of a block meet.
#pragma once

#include <cstdint>

namespace octconv::ptx {

constexpr uint32_t kWarpThreads = 32;

// Special Registers: %tid. Volatile, as the lane is: read again wherever it is asked for, where
// otherwise all that follows from it would stay in registers through a kernel's loops, and spill.
__device__ __forceinline__ uint32_t thread_x() {
  uint32_t value;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(value));
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

// Special Registers: %nctaid
__device__ __forceinline__ uint32_t blocks_x() {
  uint32_t value;
  asm("mov.u32 %0, %%nctaid.x;" : "=r"(value));
  return value;
}

// Special Registers: %laneid
__device__ __forceinline__ uint32_t lane() {
  uint32_t value;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(value));
  return value;
}

// Parallel Synchronization and Communication Instructions: barrier, with all threads of the block
__device__ __forceinline__ void sync_block() {
  asm volatile("barrier.sync.aligned 0;" ::: "memory");
}

// Parallel Synchronization and Communication Instructions: barrier. `threads`, a multiple of 32,
// counts those that sync and those that only arrive. Barrier 0 is that of sync_block.
__device__ __forceinline__ void sync_named(uint32_t barrier, uint32_t threads) {
  asm volatile("barrier.sync.aligned %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
__device__ __forceinline__ void arrive_named(uint32_t barrier, uint32_t threads) {
  asm volatile("barrier.arrive.aligned %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// Whether this code is compiled for sm_90a, whose instructions no other target has.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
constexpr bool kHopper = true;
#else
constexpr bool kHopper = false;
#endif

// Miscellaneous Instructions: setmaxnreg, for all warps of a warpgroup. Gives registers of a thread
// back, or takes what others have given, up to `kRegisters`, a multiple of 8.
template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// Parallel Synchronization and Communication Instructions: bar.warp.sync, for all lanes
__device__ __forceinline__ void sync_warp() {
  asm volatile("bar.warp.sync 0xffffffff;" ::: "memory");
}

// Data Movement and Conversion Instructions: shfl.sync, for all lanes. They order no memory.
__device__ __forceinline__ uint32_t shuffle(uint32_t value, uint32_t source_lane) {
  uint32_t result;
  asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, 0xffffffff;"
               : "=r"(result)
               : "r"(value), "r"(source_lane));
  return result;
}
__device__ __forceinline__ uint32_t shuffle_xor(uint32_t value, uint32_t lane_mask) {
  uint32_t result;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;"
               : "=r"(result)
               : "r"(value), "r"(lane_mask));
  return result;
}

}  // namespace octconv::ptx
