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

constexpr int kLastPhase = 3;

template <typename Traits>
struct JointMemory {
  uint32_t stagings;
  BufferRing boxes, slots;

  __device__ __forceinline__ JointMemory(const JointSm90Params& p, uint32_t memory) {
    stagings = memory;
    boxes = {stagings + Traits::kFixedBytes, 0, p.boxes, Traits::kBox};
    slots = {boxes.memory + p.boxes * Traits::kBox, 0, p.slots, Traits::kSlot};
    boxes.barriers = slots.memory + p.slots * Traits::kSlot;
    slots.barriers = boxes.barriers + p.boxes * 2 * ptx::kBarrierBytes;
  }
};

// The items of a cluster: the blocks share one, or each takes boxes of its own.
__device__ __forceinline__ int32_t first_item(const JointSm90Params& p) {
  return cluster_index(p.splits * p.sharers);
}
__device__ __forceinline__ int32_t item_step(const JointSm90Params& p) {
  return cluster_count(p.splits * p.sharers);
}

// Where a group of rows of an item begins, and the item's columns. Behind the last box of the last
// image nothing is read or stored.
struct JointItem {
  int32_t x, y, image, column_tile;

  template <typename Traits>
  static __device__ __forceinline__ JointItem of(const JointSm90Params& p, int32_t index,
                                                 int32_t row_group) {
    JointItem item;
    int32_t boxes = index / p.columns;
    item.column_tile = index - boxes * p.columns;
    if (p.sharers > 1) boxes = boxes * p.sharers + static_cast<int32_t>(ptx::cluster_rank());
    const int32_t place = boxes * Traits::kRowGroups + row_group, row = place / p.across;
    item.x = (place - row * p.across) * p.box.width;
    item.y = row % p.down * p.box.height;
    item.image = row / p.down * p.box.images;
    return item;
  }
  __device__ __forceinline__ int32_t image_of(const JointSm90Params& p, int plane) const {
    return p.absent >> plane & 1 ? p.batch : image;
  }
};

}  // namespace octconv::sm90
