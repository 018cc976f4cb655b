// The fused octave convolution, or its input gradient: all paths, pooling and upsampling in one
// launch, for tensor cores from sm_80 on. The upsampling costs nothing: what the low input gives a
// quad is where the sums of its four phases begin.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/phase.cuh"
#include "forward_params.h"
#include "forward_traits.h"
#include "sm80/halo.cuh"
#include "sm80/item.cuh"
#include "sm80/products.cuh"
#include "sm80/sums.cuh"
#include "sm80/weight.cuh"

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

// Behind the last chunk of the first segment.
template <typename Tile>
__device__ __forceinline__ void finish_first_segment(Sums<Tile>& sum, const ForwardParams& p,
                                                     const Program& program,
                                                     const TilePlace& place) {
#pragma unroll
  for (int m = 0; m < Tile::kTilesM; ++m) {
    if (!Tile::kHigh && !program.times_four) continue;
    if (Tile::kHigh && program.segment[0].phases) continue;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float factor = program.times_four ? 4.0f : 1.0f;
      if (Tile::kHigh && program.divide_quads) {
        const int32_t quad = ptx::thread_x() / 32 / Tile::kWarpsN * Tile::kQuadsOfWarp +
                             m / 4 * 16 + half * 8 + ptx::lane() / 4;
        const int32_t y = (place.y + quad / program.tile_width) % p.quad_height;
        const int32_t x = place.x + quad % program.tile_width;
        factor = share(p.grid_height - 2 * y, p.grid_width - 2 * x);
      }
#pragma unroll
      for (int n = 0; n < Tile::kTilesN; ++n) {
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          if (!Tile::kHigh) sum[m][n][i] *= factor;
          // All phases of a quad begin with what its low pixel gave.
          if (Tile::kHigh) {
            sum[m][n][i] = m % 4 == 0 ? sum[m][n][i] * factor : sum[m / 4 * 4][n][i];
          }
        }
      }
    }
  }
}

// Where a lane finds its quads in a halo of phases and of quads, in bytes from its begin: lanes 0
// to 15 the first 16 bytes of a step for the 16 quads of a group, the others the second.
template <typename Traits>
struct LaneCells {
  uint32_t phases[Traits::Tiles::kHighGroups], quads[Traits::kMostTilesM];

  template <typename Tile>
  __device__ __forceinline__ void set(const ForwardParams& p, const Program& program,
                                      const TilePlace& place) {
    const HaloShape of_phases = HaloShape::of<Tile>(program, true);
    const HaloShape of_quads = HaloShape::of<Tile>(program, false);
#pragma unroll
    for (int group = 0; group < Tile::kQuadsOfWarp / 16; ++group) {
      int32_t quad =
          ptx::thread_x() / 32 / Tile::kWarpsN * Tile::kQuadsOfWarp + group * 16 + ptx::lane() % 16;
      // Rows of m16 tiles beyond the tile repeat its last quad, those beyond the last image its
      // row.
      const int32_t last = program.tile_width * program.tile_height - 1;
      quad = quad < last ? quad : last;
      const int32_t row = quad / program.tile_width, tx = quad - row * program.tile_width;
      const int32_t last_row = p.batch * p.quad_height - 1 - place.row;
      const int32_t ty = row < last_row ? row : last_row;
      const int32_t images = (place.y + ty) / p.quad_height;
      quads[group] = of_quads.offset_of<Tile>(ty, tx, images) + ptx::lane() / 16 * 16;
      if constexpr (Tile::kHigh) {
        phases[group] = of_phases.offset_of<Tile>(ty, tx, images) + ptx::lane() / 16 * 16;
      }
    }
  }
};

// The segment of a chunk, and its first channel there.
struct Chunk {
  int32_t segment, channel;

  static __device__ __forceinline__ Chunk of(const Program& program, int32_t index, int32_t size) {
    const bool second = index >= program.chunks[0];
    return {second ? 1 : 0, (index - (second ? program.chunks[0] : 0)) * size};
  }
};

// One row of taps of a chunk whose halo and weight have landed.
template <typename Tile>
__device__ __forceinline__ void multiply_row(Sums<Tile>& sum, const ForwardParams& p,
                                             const LaneCells<typename Tile::Pair>& lane,
                                             int32_t index, int32_t tap_row, uint32_t halo,
                                             uint32_t weight) {
  const Program& program = Tile::kHigh ? p.high : p.low;
  const Chunk chunk = Chunk::of(program, index, Tile::kChunk);
  const Segment& segment = program.segment[chunk.segment];
  const int32_t bytes =
      (segment.channels - chunk.channel) * static_cast<int32_t>(sizeof(typename Tile::T));
  const int32_t step_bytes = bytes < Tile::kChunkBytes ? bytes : Tile::kChunkBytes;
  const uint32_t lane_weight =
      weight +
      weight_lane_offset<Tile>(ptx::thread_x() / 32 % Tile::kWarpsN * Tile::kColumnsOfWarp);
  const HaloShape shape = HaloShape::of<Tile>(program, segment.phases);
  if constexpr (Tile::kHigh) {
    if (segment.phases) {
      uint32_t row[2];  // for each y-phase, the row that its taps read
      for (int dy = 0; dy < 2; ++dy) {
        const int offset = phase::offset(dy, tap_row, Tile::kPadding);
        const int plane = phase::plane(offset);
        row[dy] = halo + (plane * shape.rows + phase::shift(offset) -
                          phase::first_shift(plane, Tile::kPadding)) *
                             shape.row_stride;
      }
      uint32_t cells[Tile::kGroups][2];
      for (int group = 0; group < Tile::kGroups; ++group) {
        for (int dy = 0; dy < 2; ++dy) cells[group][dy] = row[dy] + lane.phases[group];
      }
      multiply_phases<Tile>(sum, cells, shape.cells * Tile::kCellPitch, lane_weight, step_bytes);
      return;
    }
  }
  constexpr int kStride = Tile::kHigh ? 4 : 1;
  uint32_t cells[Tile::kTilesM / kStride];
  for (int group = 0; group < Tile::kTilesM / kStride; ++group) {
    cells[group] = halo + lane.quads[group] + tap_row * shape.row_stride;
  }
  multiply_quads<Tile, kStride>(sum, cells, lane_weight, step_bytes);
}

template <typename Traits, typename Visit>
__device__ __forceinline__ void with_tile(ItemKind kind, const Visit& visit) {
  if (kind == ItemKind::kHigh) {
    visit(TileTraits<Traits, true>());
  } else {
    visit(TileTraits<Traits, false>());
  }
}

// The rows of taps in shared memory, filled and used in turns.
template <typename Traits>
struct RowRing {
  static constexpr uint32_t kRowBytes = BlockMemory<Traits>::kRowBytes;
  uint32_t begin, end;

  __device__ __forceinline__ RowRing(uint32_t at, int32_t stages)
      : begin(at), end(at + stages * kRowBytes) {}
  __device__ __forceinline__ uint32_t behind(uint32_t row) const {
    return row + kRowBytes == end ? begin : row + kRowBytes;
  }
};

__device__ __forceinline__ bool pools(const ForwardParams& p, const Item& item, int32_t index,
                                      int32_t size) {
  const Program& program = program_of(p, item.kind);
  return program.segment[Chunk::of(program, index, size).segment].pools > 0;
}

// Loads one of `parts` parts of the halo of chunk `index` of the item in `slot`.
template <typename Traits>
__device__ __forceinline__ void load_part(const ForwardParams& p, const ItemSlot<Traits>& slot,
                                          const Item& item, int32_t index, int32_t part,
                                          int32_t parts, uint32_t to) {
  const Program& program = program_of(p, item.kind);
  const Chunk chunk = Chunk::of(program, index, Traits::kChunk);
  const Segment& segment = program.segment[chunk.segment];
  load_halo<Traits>(segment, HaloShape::of<Traits>(program, segment.phases), chunk.channel, to,
                    slot.row_table(chunk.segment), slot.column_table(chunk.segment), part, parts);
}

template <typename Traits>
__device__ __forceinline__ void load_row(const ForwardParams& p, ItemKind kind, int32_t column,
                                         int32_t index, int32_t tap_row, uint32_t to) {
  with_tile<Traits>(kind, [&](auto tile) {
    const Program& program = program_of(p, kind);
    const Chunk chunk = Chunk::of(program, index, Traits::kChunk);
    load_weight<decltype(tile)>(p, program.segment[chunk.segment], program.columns, column,
                                chunk.channel, tap_row, to);
  });
}

// All items of a block are one stream of chunks, and a chunk is a turn for each row of taps. While
// a turn multiplies one row, a later row is loaded, and a part of the next chunk's halo, also where
// they are of the next item: nothing is waited for where items meet, and results are stored while
// loads are under way.
template <typename Traits>
__global__ void __launch_bounds__(Traits::kThreads, 1)
    forward_sm80(const __grid_constant__ ForwardParams p) {
  constexpr int kTaps = Traits::kTaps;
  ptx::SharedMemory shared;
  const uint32_t halos = shared.take(2 * p.halo_bytes);
  const RowRing<Traits> rows(shared.take(p.weight_stages * RowRing<Traits>::kRowBytes),
                             p.weight_stages);
  const uint32_t slots = shared.take(2 * Traits::kSlotBytes), ticket = shared.take(16);
  const auto slot_of = [&](int64_t item) {
    return ItemSlot<Traits>{slots + static_cast<uint32_t>(item & 1) * Traits::kSlotBytes};
  };
  const auto halo_of = [&](uint32_t chunk) { return halos + (chunk & 1) * p.halo_bytes; };

  prepare_item(p, 0, slot_of(0));
  prepare_item(p, 1, slot_of(1));
  ptx::sync_block();
  Item item = slot_of(0).item();
  if (item.kind == ItemKind::kNone) return;  // more blocks than items
  load_part(p, slot_of(0), item, item.begin, 0, 1, halo_of(0));
  uint32_t filled = rows.begin, used = rows.begin;  // next
  const int32_t ahead = p.weight_stages - 1;
#pragma unroll 1
  for (int32_t row = 0; row < ahead; ++row) {
    load_row<Traits>(p, item.kind, item.column, item.begin, row, filled);
    filled = rows.behind(filled);
    ptx::commit_copies();
  }

  float sum[Traits::kMostTilesM][Traits::kTilesN][4];
  uint32_t chunk = 0;  // of the stream
  for (int64_t items = 0; item.kind != ItemKind::kNone; ++items) {
    LaneCells<Traits> lane;
    with_tile<Traits>(item.kind, [&](auto tile) {
      using Tile = decltype(tile);
      lane.template set<Tile>(p, program_of(p, item.kind), item.place);
      begin_sums<Tile>(sum, p, program_of(p, item.kind), item.column, item.split == 0);
    });
    for (int32_t index = item.begin; index < item.end; ++index, ++chunk) {
      const bool last = index + 1 == item.end;
      const ItemSlot<Traits> next_slot = slot_of(items + last);
#pragma unroll 1
      for (int32_t tap_row = 0; tap_row < kTaps; ++tap_row) {
        if (p.weight_stages == 2) {
          ptx::wait_copies<0>();
        } else {
          ptx::wait_copies<1>();
        }
        ptx::sync_block();  // all has landed, and all have left the buffers that are filled next
        const Item next = next_slot.item();
        const int32_t next_index = last ? next.begin : index + 1;
        const bool has_next = next.kind != ItemKind::kNone;
        const bool in_chunk = tap_row + ahead < kTaps;
        // Half of the warps load before they multiply and half behind: so each scheduler always has
        // one that multiplies. A halo that is pooled has all turns to be made, since it is there at
        // once; asynchronous copies are as early as the row that is loaded last before they are
        // needed.
        const bool pooled = pools(p, next, next_index, Traits::kChunk);
        const bool load_first = ptx::thread_x() / 32 < Traits::kWarps / 2;
        const int32_t parts = pooled ? kTaps : kTaps + 1 - ahead;
#pragma unroll 1
        for (int half = 0; half < 2; ++half) {
          if ((half == 0) == load_first) {
            if (in_chunk || has_next) {
              load_row<Traits>(p, in_chunk ? item.kind : next.kind,
                               in_chunk ? item.column : next.column,
                               in_chunk ? index : next_index,
                               tap_row + ahead - (in_chunk ? 0 : kTaps), filled);
            }
            if (has_next && tap_row < parts) {
              load_part(p, next_slot, next, next_index, tap_row, parts, halo_of(chunk + 1));
            }
          } else {
            with_tile<Traits>(item.kind, [&](auto tile) {
              multiply_row<decltype(tile)>(sum, p, lane, index, tap_row, halo_of(chunk), used);
            });
          }
        }
        filled = rows.behind(filled);
        ptx::commit_copies();
        used = rows.behind(used);
      }
      const int32_t first_chunks = program_of(p, item.kind).chunks[0];
      if (index < first_chunks && (last || index + 1 == first_chunks)) {
        with_tile<Traits>(item.kind, [&](auto tile) {
          finish_first_segment<decltype(tile)>(sum, p, program_of(p, item.kind), item.place);
        });
      }
    }
    // Nobody reads this slot any more: the last turns loaded for the next item.
    prepare_item(p, items + 2, slot_of(items));
    with_tile<Traits>(item.kind, [&](auto tile) {
      using Tile = decltype(tile);
      const Program& program = program_of(p, item.kind);
      if (program.splits == 1 || add_splits<Tile>(sum, p, program, item.tile, item.split, ticket)) {
        store_results<Tile>(p, program, sum, item.place, item.column);
      }
    });
    item = slot_of(items + 1).item();
  }
}

}  // namespace octconv
