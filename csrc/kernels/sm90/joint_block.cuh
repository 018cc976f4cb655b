// What all warps of a block of forward_1x1_sm90 agree on: its items, and the buffers in shared
// memory that go round between the threads that load and those that multiply.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/barrier.cuh"
#include "forward_1x1_sm90_params.h"
#include "forward_1x1_sm90_traits.h"

namespace octconv::sm90 {

constexpr int kLastPhase = 3, kLowSums = 4;  // of the sums

// Buffers that are filled and emptied in turns, and the barriers that say which they are.
struct JointRing {
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
    for (JointRing ring = *this; ring.parity == 0; ring.advance()) {
      ptx::init_barrier(ring.full(), 1);
      ptx::init_barrier(ring.empty(), emptied_by);
    }
  }
};

template <typename Traits>
struct JointMemory {
  JointRing boxes, slots;
  uint32_t stagings;

  __device__ __forceinline__ JointMemory(const JointSm90Params& p, uint32_t memory) {
    boxes = {memory, 0, p.boxes, Traits::kBox};
    slots = {memory + p.boxes * Traits::kBox, 0, p.slots, Traits::kSlot};
    stagings = slots.memory + p.slots * Traits::kSlot;
    boxes.barriers = stagings + Traits::kFixedBytes;
    slots.barriers = boxes.barriers + p.boxes * 2 * ptx::kBarrierBytes;
  }
};

// Where a group of rows of an item begins, and the item's columns. Behind the last box of the last
// image nothing is read or stored.
struct JointItem {
  int32_t x, y, image, column_tile;

  template <typename Traits>
  static __device__ __forceinline__ JointItem of(const JointSm90Params& p, int32_t index,
                                                 int32_t row_group) {
    JointItem item;
    const int32_t boxes = index / p.columns;
    item.column_tile = index - boxes * p.columns;
    const int32_t place = boxes * Traits::kRowGroups + row_group, row = place / p.across;
    item.x = (place - row * p.across) * p.box.width;
    item.y = row % p.down * p.box.height;
    item.image = row / p.down * p.box.images;
    return item;
  }
  __device__ __forceinline__ int32_t image_of(const JointSm90Params& p, int phase) const {
    return p.absent >> phase & 1 ? p.batch : image;
  }
};

}  // namespace octconv::sm90
