// What single threads of forward_sm90 load by tensor maps, in the order in which it is multiplied.
// Channels and pixels that are not there are zeros.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "device/sm90/tensor_copy.cuh"

namespace octconv::sm90 {

// The inputs of high tiles. All chunks of the low input come first: what they give a quad is where
// the sums of its four phases begin. They take two planes.
template <typename Traits>
__device__ __forceinline__ void load_planes(const ForwardSm90Params& p, const Memory& memory,
                                            const Share& share) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kTile = sm90_tile(kGeometry, true);
  constexpr uint32_t kQuadBytes = kGeometry.quads.cells() * kSm90Cell;
  constexpr uint32_t kPhaseBytes = kGeometry.phases.cells() * kSm90Cell;
  PlaneRing ring;
  for (int32_t tile = share.first; tile < p.tiles[kHigh].items; tile += share.step) {
    const Item item(p.tiles[kHigh], kTile, tile);
    for (int32_t chunk = 0; chunk < p.chunks[kLow]; ++chunk) {
      const uint32_t full = memory.box_full(ring.stage);
      ptx::wait_barrier(memory.box_empty(ring.stage), ring.parity ^ 1);
      ptx::wait_barrier(memory.box_empty(ring.stage + 1), ring.parity ^ 1);
      ptx::arrive_expecting(full, kQuadBytes);
      ptx::copy_box(memory.plane(ring.stage), &p.low_input[kHigh], full, chunk * kSm90Chunk,
                    item.x - 1, item.y - 1, item.image);
      ptx::arrive(memory.box_full(ring.stage + 1));
      ring.advance(2);
    }
    for (int32_t chunk = 0; chunk < p.chunks[kHigh]; ++chunk) {
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

// The low input of low tiles, which has one area for itself.
template <typename Traits>
__device__ __forceinline__ void load_low_areas(const ForwardSm90Params& p, const Memory& memory,
                                               const Share& share) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kTile = sm90_tile(kGeometry, false);
  constexpr uint32_t kBytes = kGeometry.low.cells() * kSm90Cell;
  const uint32_t full = memory.box_full(kLow);
  Ring<1> ring;
  for (int32_t tile = share.first; tile < p.tiles[kLow].items; tile += share.step) {
    const Item item(p.tiles[kLow], kTile, tile);
    for (int32_t chunk = 0; chunk < p.chunks[kLow]; ++chunk) {
      ptx::wait_barrier(memory.box_empty(kLow), ring.parity ^ 1);
      ptx::arrive_expecting(full, kBytes);
      ptx::copy_box(memory.area(kLow), &p.low_input[kLow], full, chunk * kSm90Chunk, item.x - 1,
                    item.y - 1, item.image);
      ring.advance();
    }
  }
}

// A slot of the weight: `taps` taps of one chunk, each kColumns columns, the last of which stay
// what they were where there are no channels: nobody stores what they give. The input gradient
// takes the taps from the other end.
template <typename Traits, int kColumns>
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
        ptx::copy_box(to_copy, &p.weight[to][from], full, column, channel, kTaps - 1 - tap);
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
  SlotRing ring;
  for (int32_t tile = share.first; tile < p.tiles[kHigh].items; tile += share.step) {
    const int32_t column_tile = tile % p.tiles[kHigh].columns;
#pragma unroll 1
    for (int i = 0; i < 2; ++i) {
      const Octave from = i == 0 ? kLow : kHigh;
#pragma unroll 1
      for (int32_t chunk = 0; chunk < p.chunks[from]; ++chunk) {
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
  SlotRing ring;
  for (int32_t tile = share.first; tile < p.tiles[kLow].items; tile += share.step) {
    const int32_t column_tile = tile % p.tiles[kLow].columns;
    for (int32_t chunk = 0; chunk < p.chunks[kLow] || chunk < p.chunks[kHigh]; ++chunk) {
#pragma unroll 1
      for (int i = 0; i < 2; ++i) {
        const Octave from = i == 0 ? kLow : kHigh;
        if (chunk >= p.chunks[from]) continue;
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
