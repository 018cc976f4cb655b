// What the two multiplying warpgroups of forward_sm90 do: products of patches in shared memory with
// taps, shifted by whole cells. A window begins at any cell; the weight of a tap begins a tile.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "device/phase.cuh"
#include "device/sm90/products.cuh"
#include "phases.cuh"
#include "store.cuh"
#include "sums.cuh"

namespace octconv::sm90 {

// Where the second warpgroup waits once, until the first has got ahead by some products: from then
// on each has the tensor cores to itself while the other stores or waits for its last ones.
constexpr uint32_t kAhead = 1;

// One chunk of the low input of a high tile, to one sum for each quad.
template <typename Traits, int kSteps>
__device__ __forceinline__ void multiply_quads(float (&sum)[Traits::kHighColumns / 2],
                                               const Memory& memory, Ring<Traits::kPlanes>& planes,
                                               SlotRing& slots, int32_t warpgroup) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kBox = kGeometry.quads;
  const int32_t cell = sm90_first_cell(kGeometry, true, warpgroup, kBox);
  constexpr int32_t kRowCells = sm90_row_cells(kGeometry, true, kBox);
#pragma unroll
  for (int i = 0; i < Traits::kQuadPlanes; ++i) {
    ptx::wait_barrier(memory.box_full(planes.stage + i), planes.parity);
  }
  const uint64_t input = ptx::matrix_at(memory.plane(planes.stage) + cell * kSm90Cell, kRowCells);
#pragma unroll
  for (int row = 0; row < 3; ++row) {
    ptx::wait_barrier(memory.slot_full(slots.stage + row), slots.parity);
    const uint64_t weight = weight_at<Traits>(memory, slots.stage + row);
    ptx::fence_products();
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int column = 0; column < 3; ++column) {
        ptx::multiply_async<typename Traits::T, Traits::kHighColumns, Traits::kInputGrad>(
            sum, input + (row * kBox.width + column) * kCellUnits + step * kStepUnits,
            weight + (column * Traits::kHighTap + step * Traits::kWeightStep) / 16);
      }
    }
    ptx::commit_products();
  }
  ptx::wait_products<0>();
}

// The slots of a row of taps each have been multiplied.
__device__ __forceinline__ void release_rows(const Memory& memory, SlotRing& slots, bool stay) {
  for (int row = 0; row < 3 && !stay; ++row) release(memory.slot_empty(slots.stage + row));
  slots.advance(3);
}

template <typename Traits>
__device__ __forceinline__ void multiply_high(const ForwardSm90Params& p, const Memory& memory,
                                              const Share& share, int32_t warpgroup) {
  using T = typename Traits::T;
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr int kSums = Traits::kHighColumns / 2;
  const bool stay = p.tiles[kHigh].weights_stay;
  const ChunkRange& chunks = own_chunks(p.chunks[kHigh]);
  Ring<Traits::kPlanes> planes;
  SlotRing slots;
  float sum[4][kSums];
#pragma unroll 1
  for (int32_t i = share.first; i < share.end; i += share.step) {
    const Item item(p.tiles[kHigh], sm90_tile(kGeometry, true), i);
    const int32_t column = item.column_tile * Traits::kHighColumns;
    if (stay) slots = {};
    begin_sums<T>(sum[0], p, kHigh, column);
    const bool leads = i == share.first && warpgroup == 0;
    if (i == share.first && warpgroup == 1 && turns_of(chunks) > 0) {
      ptx::sync_named(kAhead, kMultiplierThreads);
    }
#pragma unroll 1
    for (int32_t chunk = chunks.begin[kLow]; chunk < chunks.end[kLow]; ++chunk) {
      with_steps(p.channels_in[kLow], chunk, [&](auto steps) {
        multiply_quads<Traits, decltype(steps)::value>(sum[0], memory, planes, slots, warpgroup);
      });
      for (int j = 0; j < Traits::kQuadPlanes; ++j) release(memory.box_empty(planes.stage + j));
      planes.advance(Traits::kQuadPlanes);
      release_rows(memory, slots, stay);
      if (leads && chunk == chunks.begin[kLow]) ptx::arrive_named(kAhead, kMultiplierThreads);
    }
    if constexpr (Traits::kInputGrad) divide_quads<Traits>(sum[0], p, item, warpgroup);
#pragma unroll
    for (int n = 0; n < kSums; ++n) sum[1][n] = sum[2][n] = sum[3][n] = sum[0][n];
#pragma unroll 1
    for (int32_t chunk = chunks.begin[kHigh]; chunk < chunks.end[kHigh]; ++chunk) {
      with_steps(p.channels_in[kHigh], chunk, [&](auto steps) {
        multiply_phases<Traits, decltype(steps)::value>(sum, memory, planes, slots, warpgroup);
      });
      release_rows(memory, slots, stay);
      if (leads && chunk == chunks.begin[kHigh] && chunks.count(kLow) == 0) {
        ptx::arrive_named(kAhead, kMultiplierThreads);
      }
    }
    const int32_t channel = first_channel(column);
    finish_sums<Traits>(sum, p, memory, kHigh, channel, [&](int to, int half) {
      return pixel_of_phase(quad_of<Traits, true>(item, warpgroup, half), to);
    });
  }
}

// One chunk of one input of a low tile, which cells from `area` on have, to both patches of the
// warpgroup.
template <typename Traits, int kSteps>
__device__ __forceinline__ void multiply_area(float (&sum)[2][Traits::kLowColumns / 2],
                                              const Memory& memory, Ring<Traits::kLowSlots>& slots,
                                              uint32_t area, int32_t warpgroup, bool stay,
                                              bool leads) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kBox = kGeometry.low;
  uint64_t input[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int32_t cell = sm90_patch(kGeometry, false, 2 * warpgroup + i).cell_in(kBox);
    input[i] = ptx::matrix_at(area + cell * kSm90Cell, kBox.width);
  }
  int32_t last = 0;
#pragma unroll 1
  for (int32_t tap = 0; tap < kTaps; tap += Traits::kTapsOfSlot) {
    ptx::wait_barrier(memory.slot_full(slots.stage), slots.parity);
    const int32_t window = (tap / 3 * kBox.width + tap % 3) * kCellUnits;
    const uint64_t weight = weight_at<Traits>(memory, slots.stage);
    ptx::fence_products();
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int column = 0; column < Traits::kTapsOfSlot; ++column) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          ptx::multiply_async<typename Traits::T, Traits::kLowColumns, Traits::kInputGrad>(
              sum[i], input[i] + window + column * kCellUnits + step * kStepUnits,
              weight + (column * Traits::kLowTap + step * Traits::kWeightStep) / 16);
        }
      }
    }
    ptx::commit_products();
    if (tap > 0) {
      ptx::wait_products<1>();
      if (!stay) release(memory.slot_empty(last));
      if (leads && tap == Traits::kTapsOfSlot) ptx::arrive_named(kAhead, kMultiplierThreads);
    }
    last = slots.stage;
    slots.advance();
  }
  ptx::wait_products<0>();
  if (!stay) release(memory.slot_empty(last));
}

template <typename Traits>
__device__ __forceinline__ void multiply_low(const ForwardSm90Params& p, const Memory& memory,
                                             const Share& share, int32_t warpgroup) {
  using T = typename Traits::T;
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr int kSums = Traits::kLowColumns / 2;
  const bool stay = p.tiles[kLow].weights_stay;
  const ChunkRange& chunks = own_chunks(p.chunks[kLow]);
  Ring<Traits::kLowSlots> slots;
  PooledRing<Traits> pooled(sm90_narrow_strips(p.channels_in[kHigh]));
  Ring<1> low;
  float sum[2][kSums];
#pragma unroll 1
  for (int32_t i = share.first; i < share.end; i += share.step) {
    const Item item(p.tiles[kLow], sm90_tile(kGeometry, false), i);
    const int32_t column = item.column_tile * Traits::kLowColumns;
    if (stay) slots = {};
    begin_sums<T>(sum[0], p, kLow, column);
#pragma unroll
    for (int n = 0; n < kSums; ++n) sum[1][n] = sum[0][n];
    const int32_t first_turn = chunks.count(kLow) > 0 ? 0 : 1;
#pragma unroll 1
    for (int32_t turn = first_turn; turn < 2 * turns_of(chunks); ++turn) {
      const bool first = i == share.first && turn == first_turn;
      if (first && warpgroup == 1) ptx::sync_named(kAhead, kMultiplierThreads);
      const Octave from = turn % 2 == 0 ? kLow : kHigh;
      const int32_t chunk = chunks.begin[from] + turn / 2;
      if (chunk >= chunks.end[from]) continue;
      const int32_t barrier = from == kHigh ? pooled.barrier() : kLow;
      const uint32_t area =
          from == kHigh ? memory.area(pooled.area()) + pooled.first_byte() : memory.area(kLow);
      ptx::wait_barrier(memory.box_full(barrier), from == kHigh ? pooled.parity : low.parity);
      with_steps(p.channels_in[from], chunk, [&](auto steps) {
        multiply_area<Traits, decltype(steps)::value>(sum, memory, slots, area, warpgroup, stay,
                                                      first && warpgroup == 0);
      });
      release(memory.box_empty(barrier));
      if (from == kHigh) {
        pooled.advance();
      } else {
        low.advance();
      }
    }
    const int32_t channel = first_channel(column);
    finish_sums<Traits>(sum, p, memory, kLow, channel, [&](int j, int half) {
      return quad_of<Traits, false>(item, 2 * warpgroup + j, half);
    });
  }
}

}  // namespace octconv::sm90
