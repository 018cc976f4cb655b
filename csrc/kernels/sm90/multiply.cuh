// What the two multiplying warpgroups of forward_sm90 do: products of patches in shared memory with
// taps, shifted by whole cells. A window begins at any cell; the weight of a tap begins a tile.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "device/phase.cuh"
#include "device/sm90/products.cuh"
#include "finish.cuh"
#include "sums.cuh"

namespace octconv::sm90 {

constexpr int kCellUnits = kSm90Cell / 16, kStepUnits = 32 / 16;  // 16ths of bytes, in descriptors

// Where the second warpgroup waits once, until the first has got ahead by some products: from then
// on each has the tensor cores to itself while the other stores or waits for its last ones.
constexpr uint32_t kAhead = 1;

__device__ __forceinline__ void release(uint32_t barrier) {
  if (ptx::lane() == 0) ptx::arrive(barrier);
}

// Calls run(Steps<n>()) with the steps of a chunk: loops with products under way would be broken
// up.
template <typename Run>
__device__ __forceinline__ void with_steps(int32_t channels, int32_t chunk, const Run& run) {
  if (steps_of(channels, chunk) == kMostSteps) {
    run(Steps<kMostSteps>());
  } else {
    run(Steps<kMostSteps / 2>());
  }
}

// The weight in a slot; rows of taps lie a slot apart.
template <typename Traits>
__device__ __forceinline__ uint64_t weight_at(const Memory& memory, int32_t stage) {
  return ptx::matrix_at(memory.slot(stage), 8, Traits::kInputGrad ? Traits::kCopy : 16);
}

// One chunk of the low input of a high tile, to one sum for each quad.
template <typename Traits, int kSteps>
__device__ __forceinline__ void multiply_quads(float (&sum)[Traits::kHighColumns / 2],
                                               const Memory& memory, Ring<Traits::kPlanes>& planes,
                                               SlotRing& slots, int32_t warpgroup) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kBox = kGeometry.quads;
  const int32_t cell = sm90_first_cell(kGeometry, true, warpgroup, kBox);
  constexpr int32_t kRowCells = sm90_row_cells(kGeometry, true, kBox);
  ptx::wait_barrier(memory.box_full(planes.stage), planes.parity);
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

// One plane of the high input of a high tile: the nine products of a phase and a tap that meet.
template <typename Traits, int kSteps, int kPlane>
__device__ __forceinline__ void multiply_plane(float (&sum)[4][Traits::kHighColumns / 2],
                                               uint64_t input, uint64_t weight) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr int kDown = kPlane / 2, kRight = kPlane % 2;
  ptx::fence_products();
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
#pragma unroll
    for (int to = 0; to < 4; ++to) {
#pragma unroll
      for (int row = phase::first_tap(to / 2, kDown, 1); row < 3; row += 2) {
#pragma unroll
        for (int column = phase::first_tap(to % 2, kRight, 1); column < 3; column += 2) {
          // The box begins where the smallest shift does.
          const int y = phase::shift(phase::offset(to / 2, row, 1)) + kDown;
          const int x = phase::shift(phase::offset(to % 2, column, 1)) + kRight;
          const int cell = y * kGeometry.phases.width + x;
          const int of_tap =
              row * Traits::kHighSlot + column * Traits::kHighTap + step * Traits::kWeightStep;
          ptx::multiply_async<typename Traits::T, Traits::kHighColumns, Traits::kInputGrad>(
              sum[to], input + cell * kCellUnits + step * kStepUnits, weight + of_tap / 16);
        }
      }
    }
  }
  ptx::commit_products();
}

// One chunk of the high input of a high tile: its four planes.
template <typename Traits, int kSteps>
__device__ __forceinline__ void multiply_phases(float (&sum)[4][Traits::kHighColumns / 2],
                                                const Memory& memory, Ring<Traits::kPlanes>& planes,
                                                SlotRing& slots, int32_t warpgroup) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kBox = kGeometry.phases;
  const int32_t cell = sm90_first_cell(kGeometry, true, warpgroup, kBox);
  constexpr int32_t kRowCells = sm90_row_cells(kGeometry, true, kBox);
#pragma unroll
  for (int row = 0; row < 3; ++row) {
    ptx::wait_barrier(memory.slot_full(slots.stage + row), slots.parity);
  }
  const uint64_t weight = weight_at<Traits>(memory, slots.stage);
  int32_t last = 0;
  // The next plane's products are under way before the last one is given back.
  const auto begin = [&] {
    ptx::wait_barrier(memory.box_full(planes.stage), planes.parity);
    return ptx::matrix_at(memory.plane(planes.stage) + cell * kSm90Cell, kRowCells);
  };
  const auto end = [&](bool first) {
    if (!first) {
      ptx::wait_products<1>();
      release(memory.box_empty(last));
    }
    last = planes.stage;
    planes.advance();
  };
  multiply_plane<Traits, kSteps, 0>(sum, begin(), weight), end(true);
  multiply_plane<Traits, kSteps, 1>(sum, begin(), weight), end(false);
  multiply_plane<Traits, kSteps, 2>(sum, begin(), weight), end(false);
  multiply_plane<Traits, kSteps, 3>(sum, begin(), weight), end(false);
  ptx::wait_products<0>();
  release(memory.box_empty(last));
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
  for (int32_t i = share.first; i < p.tiles[kHigh].items; i += share.step) {
    const Item item(p.tiles[kHigh], sm90_tile(kGeometry, true), i);
    const int32_t column = item.column_tile * Traits::kHighColumns;
    if (stay) slots = {};
    begin_sums<T>(sum[0], p, kHigh, column);
    const bool leads = i == share.first && warpgroup == 0;
    if (i == share.first && warpgroup == 1 && turns_of(chunks) > 0) {
      ptx::sync_named(kAhead, kMultipliers);
    }
#pragma unroll 1
    for (int32_t chunk = chunks.begin[kLow]; chunk < chunks.end[kLow]; ++chunk) {
      with_steps(p.channels_in[kLow], chunk, [&](auto steps) {
        multiply_quads<Traits, decltype(steps)::value>(sum[0], memory, planes, slots, warpgroup);
      });
      for (int j = 0; j < Traits::kQuadPlanes; ++j) release(memory.box_empty(planes.stage + j));
      planes.advance(Traits::kQuadPlanes);
      release_rows(memory, slots, stay);
      if (leads && chunk == chunks.begin[kLow]) ptx::arrive_named(kAhead, kMultipliers);
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
        ptx::arrive_named(kAhead, kMultipliers);
      }
    }
    const int32_t channel = first_channel(column);
    if constexpr (Traits::kEpilogue) {
      finish_sums<Traits>(sum, p, memory, kHigh, channel, [&](int to, int half) {
        return pixel_of_phase(quad_of<Traits, true>(item, warpgroup, half), to);
      });
    } else {
      add_tile<Traits>(sum, p, memory);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const Pixel quad = quad_of<Traits, true>(item, warpgroup, half);
#pragma unroll
        for (int to = 0; to < 4; ++to) {
          store_sums<Traits>(sum[to], to, half, p, kHigh, pixel_of_phase(quad, to), channel);
        }
      }
    }
  }
}

// One chunk of one input of a low tile, to both patches of the warpgroup.
template <typename Traits, int kSteps>
__device__ __forceinline__ void multiply_area(float (&sum)[2][Traits::kLowColumns / 2],
                                              const Memory& memory, Ring<Traits::kLowSlots>& slots,
                                              Octave from, int32_t warpgroup, bool stay,
                                              bool leads) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kBox = kGeometry.low;
  uint64_t input[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int32_t cell = sm90_patch(kGeometry, false, 2 * warpgroup + i).cell_in(kBox);
    input[i] = ptx::matrix_at(memory.area(from) + cell * kSm90Cell, kBox.width);
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
      if (leads && tap == Traits::kTapsOfSlot) ptx::arrive_named(kAhead, kMultipliers);
    }
    last = slots.stage;
    slots.advance();
  }
  ptx::wait_products<0>();
  if (!stay) release(memory.slot_empty(last));
  release(memory.box_empty(from));
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
  uint32_t parities = 0;  // of both areas, a bit each
  float sum[2][kSums];
#pragma unroll 1
  for (int32_t i = share.first; i < p.tiles[kLow].items; i += share.step) {
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
      if (first && warpgroup == 1) ptx::sync_named(kAhead, kMultipliers);
      const Octave from = turn % 2 == 0 ? kLow : kHigh;
      const int32_t chunk = chunks.begin[from] + turn / 2;
      if (chunk >= chunks.end[from]) continue;
      ptx::wait_barrier(memory.box_full(from), parities >> from & 1);
      parities ^= 1u << from;
      // The input gradient wants sums of quads, of which it pools quarters: they cannot overflow.
      const bool quarters = Traits::kInputGrad && from == kHigh;
      if (quarters) scale(sum, 0.25f);
      with_steps(p.channels_in[from], chunk, [&](auto steps) {
        multiply_area<Traits, decltype(steps)::value>(sum, memory, slots, from, warpgroup, stay,
                                                      first && warpgroup == 0);
      });
      if (quarters) scale(sum, 4.0f);
    }
    const int32_t channel = first_channel(column);
    if constexpr (Traits::kEpilogue) {
      finish_sums<Traits>(sum, p, memory, kLow, channel, [&](int j, int half) {
        return quad_of<Traits, false>(item, 2 * warpgroup + j, half);
      });
    } else {
      add_tile<Traits>(sum, p, memory);
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const Pixel pixel = quad_of<Traits, false>(item, 2 * warpgroup + j, half);
          store_sums<Traits>(sum[j], j, half, p, kLow, pixel, channel);
        }
      }
    }
  }
}

}  // namespace octconv::sm90
