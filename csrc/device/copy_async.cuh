// Copies from global to shared memory that go on while their thread computes (sm_80).
#pragma once

#include <cstdint>

namespace octconv::ptx {

// Data Movement and Conversion Instructions: cp.async. Copies `source_bytes` (0 to 16), fills the
// rest of 16 bytes with zeros, and passes the first-level cache by. Both addresses are multiples of
// 16; with 0 source bytes nothing is read.
__device__ __forceinline__ void copy_async(uint32_t shared, const void* source,
                                           uint32_t source_bytes = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(source),
               "r"(source_bytes)
               : "memory");
}

// The same where `wanted`, else nothing. A predicate, since branches would keep copies apart:
// before each group of them ptxas puts three idle loads for sm_90.
__device__ __forceinline__ void copy_async_if(bool wanted, uint32_t shared, const void* source,
                                              uint32_t source_bytes = 16) {
  asm volatile(
      "{.reg .pred p; setp.ne.u32 p, %3, 0; @p cp.async.cg.shared.global [%0], [%1], 16, %2;}" ::
          "r"(shared),
      "l"(source), "r"(source_bytes), "r"(static_cast<uint32_t>(wanted))
      : "memory");
}

// Data Movement and Conversion Instructions: cp.async.commit_group. Ends a group of this thread.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Data Movement and Conversion Instructions: cp.async.wait_group. All groups of this thread but the
// last kPending have landed; other threads see them behind a barrier.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace octconv::ptx
