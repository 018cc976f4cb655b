// Copies of boxes of tensors to shared memory and back, by the unit that reads tensor maps (sm_90).
#pragma once

#include <cstdint>

namespace octconv::ptx {

// Data Movement and Conversion Instructions: prefetch.tensormap. Brings `map`, as of copy_box, to
// where copies look for it: the first one of a block would wait for memory.
__device__ __forceinline__ void prefetch_map(const void* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// Data Movement and Conversion Instructions: cp.async.bulk.tensor. Copies the box of `map`, a
// CUtensorMap among the kernel's parameters, that begins at these coordinates, innermost first;
// what lies outside of the tensor is zeros. All its bytes count for `barrier`.
__device__ __forceinline__ void copy_box(uint32_t shared, const void* map, uint32_t barrier,
                                         int32_t c0, int32_t c1, int32_t c2) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared),
      "l"(map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2)
      : "memory");
}
__device__ __forceinline__ void copy_box(uint32_t shared, const void* map, uint32_t barrier,
                                         int32_t c0, int32_t c1, int32_t c2, int32_t c3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared),
      "l"(map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
}
__device__ __forceinline__ void copy_box(uint32_t shared, const void* map, uint32_t barrier,
                                         int32_t c0, int32_t c1, int32_t c2, int32_t c3,
                                         int32_t c4) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(shared),
      "l"(map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4)
      : "memory");
}

// Data Movement and Conversion Instructions: cp.async.bulk.tensor, .multicast::cluster. One reading
// for all blocks of the cluster that have a bit in `blocks`, by rank: each gets the box at this
// address of its own shared memory, and its bytes count for the barrier that it has at this one.
__device__ __forceinline__ void copy_box_to_all(uint32_t shared, const void* map, uint32_t barrier,
                                                uint32_t blocks, int32_t c0, int32_t c1, int32_t c2,
                                                int32_t c3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%3, %4, %5, %6}], [%2], %7;" ::"r"(shared),
      "l"(map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "h"(static_cast<uint16_t>(blocks))
      : "memory");
}

// Data Movement and Conversion Instructions: cp.async.bulk.tensor. The same from shared memory to
// the tensor; what lies outside of it is not stored.
__device__ __forceinline__ void store_box(const void* map, uint32_t shared, int32_t c0, int32_t c1,
                                          int32_t c2, int32_t c3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], "
      "[%1];" ::"l"(map),
      "r"(shared), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
}

// Data Movement and Conversion Instructions: cp.async.bulk.commit_group
__device__ __forceinline__ void commit_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

// Data Movement and Conversion Instructions: cp.async.bulk.wait_group. All groups of this thread
// but the last kPending have read what they store.
template <int kPending>
__device__ __forceinline__ void wait_stores_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}

}  // namespace octconv::ptx
