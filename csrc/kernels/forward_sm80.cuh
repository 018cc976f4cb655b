// The fused octave convolution, with or without an epilogue, or its input gradient: all paths,
// pooling and upsampling in one launch, for tensor cores from sm_80 on. The upsampling costs
// nothing: what the low input gives a quad is where the sums of its four phases begin.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/phase.cuh"
#include "params/forward_sm80.h"
#include "sm80/halo.cuh"
#include "sm80/item.cuh"
#include "sm80/loads.cuh"
#include "sm80/products.cuh"
#include "sm80/store.cuh"
#include "sm80/sums.cuh"
#include "sm80/turns.cuh"
#include "sm80/weight.cuh"
#include "traits/forward_sm80.h"
#include "with_taps.cuh"

namespace octconv {

// The sums begin with the bias of their columns, once among all splits.
template <typename Tile>
__device__ __forceinline__ void begin_sums(Sums<Tile>& sum, const ForwardParams& p,
                                           const Program& program, int32_t first_column,
                                           bool with_bias) {
  const int32_t column = first_column + ptx::thread_x() / 32 % Tile::kWarpsN * Tile::kColumnsOfWarp;
  begin_tile<Tile>(sum[0], p, program, column, with_bias);
#pragma unroll
  for (int m = 1; m < Tile::kTilesM; ++m) {
#pragma unroll
    for (int n = 0; n < Tile::kTilesN; ++n) {
      for (int i = 0; i < 4; ++i) sum[m][n][i] = sum[0][n][i];
    }
  }
}

// Behind the last chunk of the first segment of a high tile, if that is at quads: all phases of a
// quad begin with what its low pixel gave, in the input gradient divided by the pixels in it.
template <typename Tile>
__device__ __forceinline__ void finish_first_segment(Sums<Tile>& sum, const ForwardParams& p,
                                                     const Program& program,
                                                     const TilePlace& place) {
  static_assert(Tile::kHigh);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float mean = 1;
    if (Tile::kTransposed) {
      mean = 0.25f;
      if (!quads_are_whole(p)) {
        const Pixel quad = row_quad<Tile>(p, program, place, half);
        mean = share(p.grid_height - 2 * quad.y, p.grid_width - 2 * quad.x);
      }
    }
    if (program.segment[0].phases) continue;
#pragma unroll
    for (int n = 0; n < Tile::kTilesN; ++n) {
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        sum[0][n][i] *= mean;
        for (int m = 1; m < Tile::kTilesM; ++m) sum[m][n][i] = sum[0][n][i];
      }
    }
  }
}

// Where a lane finds its quads in a halo of phases and of quads, in bytes from its begin, one in
// each group of 16: lanes 0 to 15 the first 16 bytes of a step, the others the second. High tiles
// have one group.
template <typename Traits>
struct LaneCells {
  uint32_t phases, quads[Traits::kTilesM];

  template <typename Tile>
  __device__ __forceinline__ void set(const ForwardParams& p, const Program& program,
                                      const TilePlace& place) {
    const HaloShape of_phases = HaloShape::of<Tile>(p, program, true);
    const HaloShape of_quads = HaloShape::of<Tile>(p, program, false);
#pragma unroll
    for (int group = 0; group < Tile::kQuadsOfWarp / 16; ++group) {
      int32_t quad =
          ptx::thread_x() / 32 / Tile::kWarpsN * Tile::kQuadsOfWarp + group * 16 + ptx::lane() % 16;
      // Rows of m16 tiles beyond the tile repeat its last quad, those beyond the last image its
      // row.
      const int32_t last = program.tile_width * program.tile_height - 1;
      quad = quad < last ? quad : last;
      const int32_t row = program.by_tile_width.quotient(quad);
      const int32_t tx = quad - row * program.tile_width;
      const int32_t last_row = p.batch * p.quad_height - 1 - place.row;
      const int32_t ty = row < last_row ? row : last_row;
      const int32_t images = p.by_quad_height.quotient(place.y + ty);
      quads[group] = of_quads.offset_of<Tile>(ty, tx, images) + ptx::lane() / 16 * 16;
      if constexpr (Tile::kHigh) {
        phases = of_phases.offset_of<Tile>(ty, tx, images) + ptx::lane() / 16 * 16;
      }
    }
  }
};

// A chunk as the products read it: what is the same for all its rows of taps.
template <typename Tile>
struct ChunkCells {
  bool phases;
  int32_t step_bytes;  // of a cell, that hold channels
  uint32_t row_stride, plane_rows, plane_bytes;
  uint32_t halo, lane_weight;

  __device__ __forceinline__ ChunkCells(const ForwardParams& p, const Program& program,
                                        int32_t index, uint32_t halo_)
      : halo(halo_) {
    const Chunk chunk = Chunk::of(program, index, Tile::kChunk);
    const Segment& segment = program.segment[chunk.segment];
    phases = Tile::kHigh && segment.phases;
    const int32_t bytes =
        (segment.channels - chunk.channel) * static_cast<int32_t>(sizeof(typename Tile::T));
    step_bytes = bytes < Tile::kChunkBytes ? bytes : Tile::kChunkBytes;
    const HaloShape shape = HaloShape::of<Tile>(p, program, phases);
    row_stride = shape.row_stride;
    plane_rows = shape.rows * shape.row_stride;
    plane_bytes = shape.cells * Tile::kCellPitch;
    lane_weight =
        weight_lane_offset<Tile>(ptx::thread_x() / 32 % Tile::kWarpsN * Tile::kColumnsOfWarp);
  }

  // One row of taps whose halo and weight have landed.
  template <int kTaps>
  __device__ __forceinline__ void multiply_row(Sums<Tile>& sum,
                                               const LaneCells<typename Tile::Pair>& lane,
                                               int32_t tap_row, uint32_t weight) const {
    weight += lane_weight;
    if constexpr (Tile::kHigh) {
      if (phases) {
        uint32_t cells[2];  // for each y-phase, in the row that its taps read
        for (int dy = 0; dy < 2; ++dy) {
          const int offset = phase::offset(dy, tap_row, kTaps / 2);
          const int plane = phase::plane(offset);
          const uint32_t row =
              halo + plane * plane_rows +
              (phase::shift(offset) - phase::first_shift(plane, kTaps / 2)) * row_stride;
          cells[dy] = row + lane.phases;
        }
        multiply_phases<Tile, kTaps>(sum, cells, plane_bytes, weight, step_bytes);
        return;
      }
    }
    constexpr int kStride = Tile::kHigh ? 4 : 1;
    uint32_t cells[Tile::kTilesM / kStride];
    for (int group = 0; group < Tile::kTilesM / kStride; ++group) {
      cells[group] = halo + lane.quads[group] + tap_row * row_stride;
    }
    multiply_quads<Tile, kTaps, kStride>(sum, cells, weight, step_bytes);
  }
};

// The multipliers' side of the stream.
template <typename Traits>
struct Products {
  Turns<Traits> turns;
  uint32_t halos, halo_bytes, ticket;
  uint32_t chunk = 0;  // of the stream
  float sum[Traits::kTilesM][Traits::kTilesN][4];

  __device__ __forceinline__ Products(const Turns<Traits>& turns_, uint32_t halos_,
                                      uint32_t halo_bytes_, uint32_t ticket_)
      : turns(turns_), halos(halos_), halo_bytes(halo_bytes_), ticket(ticket_) {}

  template <typename Tile>
  __device__ __forceinline__ void multiply_item(const ForwardParams& p, const Item& item) {
    const Program& program = Tile::kHigh ? p.high : p.low;
    LaneCells<Traits> lane;
    lane.template set<Tile>(p, program, item.place);
    begin_sums<Tile>(sum, p, program, item.column, item.split == 0);
    const int32_t first_chunks = program.chunks[0];
    int32_t index = item.begin;
    do {  // every item has a chunk
      const ChunkCells<Tile> cells(p, program, index, halos + chunk % 2 * halo_bytes);
      with_taps<Traits>(p.taps, [&](auto taps) {
#pragma unroll 1
        for (int32_t tap_row = 0; tap_row < taps; ++tap_row) {
          turns.wait_until_full();
          cells.template multiply_row<taps>(sum, lane, tap_row, turns.row());
          turns.say_free();
          turns.advance();
        }
      });
      if constexpr (Tile::kHigh) {
        if (index < first_chunks && (index + 1 == item.end || index + 1 == first_chunks)) {
          finish_first_segment<Tile>(sum, p, program, item.place);
        }
      }
      ++chunk;
    } while (++index < item.end);
    if (program.splits == 1 || add_splits<Tile>(sum, p, program, item.tile, item.split, ticket)) {
      store_results<Tile>(p, program, sum, item.place, item.column);
    }
  }
};

template <typename Traits>
__device__ __forceinline__ void multiply_items(const ForwardParams& p, const Turns<Traits>& turns,
                                               uint32_t halos, uint32_t ticket) {
  Products<Traits> products(turns, halos, p.halo_bytes, ticket);
  for (ItemNumbers numbers;;) {
    const Item item = find_item(p, numbers.next(p));
    if (item.kind == ItemKind::kNone) break;
    with_tile<Traits>(item.kind,
                      [&](auto tile) { products.template multiply_item<decltype(tile)>(p, item); });
  }
}

// Some warps load, the others multiply: so the addresses, the pooling and what they wait for cost
// the tensor cores nothing. The loaders run ahead, also where the next item begins: it is loaded
// while the results of the last one are stored.
template <typename Traits>
__global__ void __launch_bounds__(Traits::kThreads, Traits::kBlocks)
    forward_sm80(const __grid_constant__ ForwardParams p) {
  if constexpr (Traits::kNeedsPassing && !ptx::kHopper) return;  // never launched there
  ptx::SharedMemory shared;
  const uint32_t halos = shared.take(2 * p.halo_bytes);
  const Turns<Traits> turns{shared.take(p.weight_stages * p.row_bytes), p.row_bytes,
                            p.weight_stages};
  const Tables<Traits> tables{shared.take(2 * Traits::kTableBytes)};
  const uint32_t ticket = shared.take(16);
  if (ptx::thread_x() < Traits::kMultiplierThreads) {
    if constexpr (ptx::kHopper) ptx::take_registers<Traits::kMultiplierRegisters>();
    multiply_items(p, turns, halos, ticket);
  } else {
    if constexpr (ptx::kHopper) ptx::give_registers<Traits::kLoaderRegisters>();
    load_items(p, turns, halos, tables);
  }
}

}  // namespace octconv
