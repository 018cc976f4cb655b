// What all warps of a block of forward_1x1_sm90 agree on: its items, and the buffers in shared
// memory that go round between the threads that load and those that multiply.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "params/forward_1x1_sm90.h"
#include "ring.cuh"
#include "splits.cuh"
#include "traits/forward_1x1_sm90.h"

namespace octconv::sm90 {

constexpr int kLastPhase = 3, kLowSums = 4;  // of the sums

template <typename Traits>
struct JointMemory {
  BufferRing boxes, slots;
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
