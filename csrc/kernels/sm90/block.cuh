// What all warps of a block of forward_sm90 agree on: its items, and the buffers in shared memory
// that go round between those that load and those that multiply. An item is a tile of one octave's
// output, or a split of one; its sums run over the chunks of both inputs' channels.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/barrier.cuh"
#include "params/forward_sm90.h"
#include "ring.cuh"
#include "splits.cuh"
#include "traits/forward_sm90.h"

namespace octconv::sm90 {

constexpr int kTaps = 9;

// A position in a ring of kStages buffers, and the parity of its barriers' phase.
template <int kStages>
struct Ring {
  int32_t stage = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ void advance(int32_t stages = 1) {
    stage += stages;
    if (stage >= kStages) stage -= kStages, parity ^= 1;
  }
};
using SlotRing = Ring<kSm90Slots>;

// Addresses in shared memory. Each buffer has a barrier for "full" and one for "empty". In blocks
// of low tiles the first of the planes' barriers are those of the areas: even ones of pooled input.
struct Memory {
  uint32_t boxes, slots, barriers, slot_bytes;

  // Barriers of both octaves' tiles lie side by side. Only the weight is in slots.
  __device__ __forceinline__ Memory(uint32_t address, Octave octave, int32_t slot_count = 0,
                                    int32_t bytes_of_slot = 0)
      : boxes(address),
        slots(address + kSm90Buffers - slot_count * bytes_of_slot),
        barriers(address + kSm90Buffers + octave * kSm90Barriers * ptx::kBarrierBytes),
        slot_bytes(bytes_of_slot) {}

  __device__ __forceinline__ uint32_t plane(int32_t stage) const {
    return boxes + stage * kSm90Plane;
  }
  __device__ __forceinline__ uint32_t area(int32_t index) const {
    return boxes + index * kSm90Area;
  }
  __device__ __forceinline__ uint32_t slot(int32_t stage) const {
    return slots + stage * slot_bytes;
  }
  __device__ __forceinline__ uint32_t slot_full(int32_t stage) const {
    return barriers + stage * ptx::kBarrierBytes;
  }
  __device__ __forceinline__ uint32_t slot_empty(int32_t stage) const {
    return slot_full(kSm90Slots + stage);
  }
  __device__ __forceinline__ uint32_t box_full(int32_t stage) const {
    return slot_full(2 * kSm90Slots + stage);
  }
  __device__ __forceinline__ uint32_t box_empty(int32_t stage) const {
    return box_full(kSm90MostPlanes + stage);
  }
  __device__ __forceinline__ uint32_t strip_full(int32_t stage) const {
    return box_full(2 * kSm90MostPlanes + stage);
  }
  __device__ __forceinline__ uint32_t strip_empty(int32_t stage) const {
    return strip_full(kSm90MostStrips + stage);
  }

  // By one thread; the block's barrier must follow. All warps that pool fill an area together.
  __device__ __forceinline__ void init_barriers(bool low_tiles) const {
    for (int i = 0; i < kSm90Slots; ++i) {
      ptx::init_barrier(slot_full(i), 1);
      ptx::init_barrier(slot_empty(i), kMultiplierWarps);
    }
    for (int i = 0; i < kSm90MostPlanes; ++i) {
      ptx::init_barrier(box_full(i), low_tiles && i % 2 == kHigh ? kSm90PoolWarps : 1);
      ptx::init_barrier(box_empty(i), kMultiplierWarps);
    }
    for (int i = 0; low_tiles && i < kSm90MostStrips; ++i) {
      ptx::init_barrier(strip_full(i), 1);
      ptx::init_barrier(strip_empty(i), 1);
    }
    ptx::fence_barriers();
  }
};

// The strips, which are half as long where half a chunk is all there is.
template <typename Traits>
struct StripRing {
  int32_t count, bytes, stage = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ explicit StripRing(bool narrow)
      // One of two constants, lest a thread divide.
      : count(narrow ? Traits::strips(true) : Traits::strips(false)),
        bytes(Traits::strip_bytes(narrow)) {}

  __device__ __forceinline__ uint32_t address(const Memory& memory) const {
    return memory.area(1 + Traits::kPooledAreas) + stage * bytes;
  }
  __device__ __forceinline__ void advance(int32_t strips = 1) {
    stage += strips;
    if (stage >= count) stage -= count, parity ^= 1;
  }
};

// The buffers that pooled input goes round in: one area or two, or both halves of its cells.
template <typename Traits>
struct PooledRing {
  int32_t buffers, index = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ explicit PooledRing(bool narrow)
      : buffers(Traits::pools_ahead(narrow) ? 2 : 1) {}

  __device__ __forceinline__ int32_t area() const {
    return Traits::kPooledAreas == 2 ? 2 * index : kHigh;
  }
  // In its cells.
  __device__ __forceinline__ int32_t first_byte() const {
    return Traits::kPooledAreas == 2 ? 0 : index * (kSm90Cell / 2);
  }
  __device__ __forceinline__ int32_t barrier() const { return 2 * index + kHigh; }
  __device__ __forceinline__ void advance() {
    if (++index == buffers) index = 0, parity ^= 1;
  }
};

// The items of a cluster, in general of one block: every `step`th of one octave's, of which a block
// multiplies its split of the chunks. Clusters of low tiles and others are mixed evenly; the former
// have late high tiles, too.
struct Share {
  int32_t first, step, end;

  __device__ __forceinline__ Share(const ForwardSm90Params& p, Octave octave) {
    const int32_t cluster = cluster_index(p.splits), clusters = cluster_count(p.splits);
    const int32_t low_before = cluster * p.low_clusters / clusters;
    const int32_t low_behind = (cluster + 1) * p.low_clusters / clusters;
    const bool with_low = low_behind > low_before;
    const int32_t items = p.tiles[octave].items;
    if (octave == kLow) {
      first = low_before, step = p.low_clusters, end = with_low ? items : 0;
    } else if (with_low) {
      // Dealt from the other end: blocks with one low tile more are those with one high one less.
      first = items - p.late_items + p.low_clusters - 1 - low_before;
      step = p.low_clusters, end = items;
    } else {
      first = cluster - low_before, step = clusters - p.low_clusters, end = items - p.late_items;
    }
  }
};

// Of both inputs, chunk by chunk.
__device__ __forceinline__ int32_t turns_of(const ChunkRange& chunks) {
  return chunks.count(kLow) > chunks.count(kHigh) ? chunks.count(kLow) : chunks.count(kHigh);
}

// Where a tile begins: its quad, its image, and the range of its channels.
struct Item {
  int32_t x, y, image, column_tile;

  __device__ __forceinline__ Item(const Sm90Tiles& tiles, QuadBox tile, int32_t index) {
    const int32_t place = tiles.columns.quotient(index), row = tiles.across.quotient(place);
    const int32_t images = tiles.down.quotient(row);
    column_tile = index - place * tiles.columns.value;
    x = (place - row * tiles.across.value) * tile.width;
    y = (row - images * tiles.down.value) * tile.height;
    image = images * tile.images;
  }
};

// Steps of 16 channels that a chunk is multiplied in: all, or half of them if that will do. What
// they have too much is zeros.
constexpr int32_t kMostSteps = kSm90Chunk / 16;
template <int kCount>
struct Steps {
  static constexpr int value = kCount;
};

__device__ __forceinline__ int32_t steps_of_chunk(int32_t channels, int32_t chunk) {
  return channels - chunk * kSm90Chunk > kSm90Chunk / 2 ? kMostSteps : kMostSteps / 2;
}

}  // namespace octconv::sm90
