// What single threads of forward_sm90 load by tensor maps, in the order in which it is multiplied.
// Channels and pixels that are not there are zeros.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "device/sm90/tensor_copy.cuh"

namespace octconv::sm90 {

// The maps of all that a block may copy, by one thread.
__device__ __forceinline__ void prefetch_maps(const ForwardSm90Params& p) {
  for (const Octave tiles : {kHigh, kLow}) {
    const Share share(p, tiles);
    if (share.first >= share.end) continue;
    if (p.channels_in[kLow] > 0) {
      ptx::prefetch_map(&p.low_input[tiles]);
      ptx::prefetch_map(&p.weight[tiles][kLow]);
    }
    if (p.channels_in[kHigh] == 0) continue;
    ptx::prefetch_map(&p.weight[tiles][kHigh]);
    if (tiles == kLow) ptx::prefetch_map(&p.strip);
    for (int phase = 0; tiles == kHigh && phase < 4; ++phase) ptx::prefetch_map(&p.phase[phase]);
  }
}

// The inputs of high tiles. All chunks of the low input come first: what they give a quad is where
// the sums of its four phases begin. They take one or two planes.
template <typename Traits>
__device__ __forceinline__ void load_planes(const ForwardSm90Params& p, const Memory& memory,
                                            const Share& share) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kTile = sm90_tile(kGeometry, true);
  constexpr uint32_t kPhaseBytes = kGeometry.phases.cells() * kSm90Cell;
  const ChunkRange& chunks = own_chunks(p.chunks[kHigh]);
  Ring<Traits::kPlanes> ring;
  for (int32_t tile = share.first; tile < share.end; tile += share.step) {
    const Item item(p.tiles[kHigh], kTile, tile);
    for (int32_t chunk = chunks.begin[kLow]; chunk < chunks.end[kLow]; ++chunk) {
      const uint32_t full = memory.box_full(ring.stage);
#pragma unroll
      for (int i = 0; i < Traits::kQuadPlanes; ++i) {
        ptx::wait_barrier(memory.box_empty(ring.stage + i), ring.parity ^ 1);
      }
      ptx::arrive_expecting(full, Traits::kQuadBytes);
      ptx::copy_box(memory.plane(ring.stage), &p.low_input[kHigh], full, chunk * kSm90Chunk,
                    item.x - 1, item.y - 1, item.image);
      if (Traits::kQuadPlanes == 2) ptx::arrive(memory.box_full(ring.stage + 1));
      ring.advance(Traits::kQuadPlanes);
    }
    for (int32_t chunk = chunks.begin[kHigh]; chunk < chunks.end[kHigh]; ++chunk) {
#pragma unroll 1
      for (int phase = 0; phase < 4; ++phase) {
        const uint32_t full = memory.box_full(ring.stage);
        ptx::wait_barrier(memory.box_empty(ring.stage), ring.parity ^ 1);
        ptx::arrive_expecting(full, kPhaseBytes);
        ptx::copy_box(memory.plane(ring.stage), &p.phase[phase], full, chunk * kSm90Chunk,
                      item.x - phase % 2, item.y - phase / 2, item.image);
        ring.advance();
      }
    }
  }
}

// The inputs of low tiles: the low one, which has an area for itself, and the strips of the high
// one. Before a chunk's low input has room, the strips that fit have been asked for, and further
// ones wait until those are pooled; only the first chunk's low input waits for nothing.
template <typename Traits>
__device__ __forceinline__ void load_low_inputs(const ForwardSm90Params& p, const Memory& memory,
                                                const Share& share) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kTile = sm90_tile(kGeometry, false), kBox = kGeometry.low;
  constexpr int kRows = kBox.height * kBox.images;
  static_assert(Traits::strips(true) < kRows);
  const ChunkRange& chunks = own_chunks(p.chunks[kLow]);
  const bool narrow = sm90_narrow_strips(p.channels_in[kHigh]);
  Ring<1> area;
  StripRing<Traits> strips(narrow);
  int32_t strips_before = 0;
  for (int32_t tile = share.first; tile < share.end; tile += share.step) {
    const Item item(p.tiles[kLow], kTile, tile);
    for (int32_t turn = 0; turn < turns_of(chunks); ++turn) {
      const int32_t low_chunk = chunks.begin[kLow] + turn;
      const int32_t high_chunk = chunks.begin[kHigh] + turn;
#pragma unroll 1
      for (int32_t row = 0; row < kRows; ++row) {
        if (row == strips_before && low_chunk < chunks.end[kLow]) {
          ptx::wait_barrier(memory.box_empty(kLow), area.parity ^ 1);
          ptx::arrive_expecting(memory.box_full(kLow), kBox.cells() * kSm90Cell);
          ptx::copy_box(memory.area(kLow), &p.low_input[kLow], memory.box_full(kLow),
                        low_chunk * kSm90Chunk, item.x - 1, item.y - 1, item.image);
          area.advance();
        }
        if (high_chunk >= chunks.end[kHigh]) continue;
        const uint32_t full = memory.strip_full(strips.stage);
        ptx::wait_barrier(memory.strip_empty(strips.stage), strips.parity ^ 1);
        ptx::arrive_expecting(full, Traits::kStrip >> narrow);
        ptx::copy_box(strips.address(memory), &p.strip, full, high_chunk * kSm90Chunk,
                      2 * (item.x - 1), 2 * (item.y - 1 + row % kBox.height),
                      item.image + row / kBox.height);
        strips.advance();
      }
      strips_before = strips.count;
    }
  }
}

// A slot of the weight: `taps` taps of one chunk, each kColumns columns, the last of which stay
// what they were where there are no channels: nobody stores what they give. The input gradient
// takes the taps from the other end.
template <typename Traits, int kColumns, typename SlotRing>
__device__ __forceinline__ void load_slot(const ForwardSm90Params& p, const Memory& memory,
                                          SlotRing& ring, Octave to, Octave from, int32_t chunk,
                                          int32_t column_tile, int32_t tap, int32_t taps) {
  const int32_t first = column_tile * kColumns, left = p.channels_out[to] - first;
  constexpr int kColumnsOfCopy = Traits::kColumnsOfCopy;
  const int32_t copies =
      ((left < kColumns ? left : kColumns) + kColumnsOfCopy - 1) / kColumnsOfCopy;
  const uint32_t full = memory.slot_full(ring.stage);
  ptx::wait_barrier(memory.slot_empty(ring.stage), ring.parity ^ 1);
  ptx::arrive_expecting(full, taps * copies * Traits::kCopy);
  uint32_t shared = memory.slot(ring.stage);
#pragma unroll 1
  for (int32_t end = tap + taps; tap < end; ++tap, shared += Traits::tap_bytes(kColumns)) {
#pragma unroll 1
    for (int32_t copy = 0; copy < copies; ++copy) {
      const int32_t column = first + copy * kColumnsOfCopy, channel = chunk * kSm90Chunk;
      const uint32_t to_copy = shared + copy * Traits::kCopy;
      if constexpr (Traits::kInputGrad) {
        ptx::copy_box(to_copy, &p.weight[to][from], full, column, kTaps - 1 - tap, channel);
      } else {
        ptx::copy_box(to_copy, &p.weight[to][from], full, channel, 0, column / 8, 0, tap);
      }
    }
  }
  ring.advance();
}

// The weight of high tiles, a row of three taps to a slot.
template <typename Traits>
__device__ __forceinline__ void load_high_weight(const ForwardSm90Params& p, const Memory& memory,
                                                 const Share& share) {
  const ChunkRange& chunks = own_chunks(p.chunks[kHigh]);
  SlotRing ring;
  for (int32_t tile = share.first; tile < share.end; tile += share.step) {
    const int32_t column_tile = tile % p.tiles[kHigh].columns.value;
#pragma unroll 1
    for (int i = 0; i < 2; ++i) {
      const Octave from = i == 0 ? kLow : kHigh;
#pragma unroll 1
      for (int32_t chunk = chunks.begin[from]; chunk < chunks.end[from]; ++chunk) {
#pragma unroll 1
        for (int32_t tap = 0; tap < kTaps; tap += 3) {
          load_slot<Traits, Traits::kHighColumns>(p, memory, ring, kHigh, from, chunk, column_tile,
                                                  tap, 3);
        }
      }
    }
    if (p.tiles[kHigh].weights_stay) return;
  }
}

// The weight of low tiles. Both inputs take turns while they have chunks.
template <typename Traits>
__device__ __forceinline__ void load_low_weight(const ForwardSm90Params& p, const Memory& memory,
                                                const Share& share) {
  const ChunkRange& chunks = own_chunks(p.chunks[kLow]);
  Ring<Traits::kLowSlots> ring;
  for (int32_t tile = share.first; tile < share.end; tile += share.step) {
    const int32_t column_tile = tile % p.tiles[kLow].columns.value;
    for (int32_t turn = 0; turn < turns_of(chunks); ++turn) {
#pragma unroll 1
      for (int i = 0; i < 2; ++i) {
        const Octave from = i == 0 ? kLow : kHigh;
        const int32_t chunk = chunks.begin[from] + turn;
        if (chunk >= chunks.end[from]) continue;
#pragma unroll 1
        for (int32_t tap = 0; tap < kTaps; tap += Traits::kTapsOfSlot) {
          load_slot<Traits, Traits::kLowColumns>(p, memory, ring, kLow, from, chunk, column_tile,
                                                 tap, Traits::kTapsOfSlot);
        }
      }
    }
    if (p.tiles[kLow].weights_stay) return;
  }
}

}  // namespace octconv::sm90
