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
#include "sm80/products.cuh"
#include "sm80/sums.cuh"
#include "sm80/weight.cuh"

namespace octconv {

// What a tile works through: the chunks of its segments, one after the other, each by rows of taps.
struct Chunk {
  int32_t segment;
  int32_t channel;  // the first one

  static __device__ __forceinline__ Chunk of(const Program& program, int32_t index, int32_t size) {
    const bool second = index >= program.chunks[0];
    return {second ? 1 : 0, (index - (second ? program.chunks[0] : 0)) * size};
  }
};

// The shared memory of a block: two of each buffer, used in turns.
struct Buffers {
  uint32_t halo, weight, table, ticket;
};

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

// Where a lane finds its quads in a halo of each kind, in bytes from its begin: lanes 0 to 15 the
// first 16 bytes of a step for the 16 quads of a group, the others the second.
template <typename Tile>
struct LaneCells {
  static constexpr int kQuadGroups = Tile::kQuadsOfWarp / 16;
  uint32_t phases[Tile::kGroups], quads[kQuadGroups];

  __device__ __forceinline__ LaneCells(const ForwardParams& p, const Program& program,
                                       const TilePlace& place) {
    const HaloShape of_phases = HaloShape::of<Tile>(program, true);
    const HaloShape of_quads = HaloShape::of<Tile>(program, false);
#pragma unroll
    for (int group = 0; group < kQuadGroups; ++group) {
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

// One row of taps of a chunk whose halo and weight have landed.
template <typename Tile>
__device__ __forceinline__ void multiply_row(Sums<Tile>& sum, const Program& program,
                                             const Segment& segment, const LaneCells<Tile>& lane,
                                             int32_t tap_row, int32_t channel, uint32_t halo,
                                             uint32_t weight) {
  const int32_t bytes =
      (segment.channels - channel) * static_cast<int32_t>(sizeof(typename Tile::T));
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

template <typename Tile>
__device__ __forceinline__ void run_tile(const ForwardParams& p, const Program& program,
                                         const Buffers& buffers, int32_t item) {
  const int32_t tile = item / program.splits, split = item % program.splits;
  const int32_t spatial = tile / program.tiles_columns;
  const int32_t column = tile % program.tiles_columns * Tile::kColumns;
  TilePlace place;
  place.row = spatial / program.tiles_across * program.tile_height;
  place.x = spatial % program.tiles_across * program.tile_width;
  place.image = place.row / p.quad_height;
  place.y = place.row % p.quad_height;
  const int32_t chunks = program.chunks[0] + program.chunks[1];
  const int32_t begin = chunks * split / program.splits,
                end = chunks * (split + 1) / program.splits;

  for (int i = 0; i < 2; ++i) {
    const Segment& segment = program.segment[i];
    if (segment.channels == 0) continue;
    make_table<Tile>(p, segment, HaloShape::of<Tile>(program, segment.phases), place,
                     buffers.table + i * Tile::kTableBytes);
  }
  ptx::sync_block();

  const auto halo_of = [&](int32_t index) { return buffers.halo + (index & 1) * Tile::kHaloBytes; };
  const auto weight_of = [&](int32_t index, int32_t tap_row) {
    return buffers.weight + ((index * Tile::kTaps + tap_row) & 1) * Tile::kWeightBytes;
  };
  const auto load_chunk = [&](int32_t index, int32_t part, int32_t parts) {
    const Chunk chunk = Chunk::of(program, index, Tile::kChunk);
    const Segment& segment = program.segment[chunk.segment];
    load_halo<Tile>(p, segment, HaloShape::of<Tile>(program, segment.phases), place, chunk.channel,
                    halo_of(index), buffers.table + chunk.segment * Tile::kTableBytes, part, parts);
  };
  const auto load_row = [&](int32_t index, int32_t tap_row) {
    const Chunk chunk = Chunk::of(program, index, Tile::kChunk);
    load_weight<Tile>(p, program.segment[chunk.segment], program.columns, column, chunk.channel,
                      tap_row, weight_of(index, tap_row));
  };

  const LaneCells<Tile> lane(p, program, place);
  float sum[Tile::kTilesM][Tile::kTilesN][4];
  begin_sums<Tile>(sum, p, program, column, split == 0);
  // A turn multiplies one row of taps and loads for the next: the weight of the next row, and a
  // part of the next chunk's halo. Those before the first chunk only load.
  for (int32_t index = begin - 1; index < end; ++index) {
    const Chunk chunk = Chunk::of(program, index, Tile::kChunk);
    const Segment& segment = program.segment[chunk.segment];
    const bool has_next = index + 1 < end;
    // Where the next halo is pooled, half of the warps do so before they multiply and half behind:
    // then each scheduler always has one that multiplies. Asynchronous copies all go first.
    const Segment& next = program.segment[Chunk::of(program, index + 1, Tile::kChunk).segment];
    const bool load_first = next.pools == 0 || ptx::thread_x() / 32 < Tile::kWarps / 2;
#pragma unroll 1
    for (int32_t tap_row = 0; tap_row < Tile::kTaps; ++tap_row) {
      const bool last_row = tap_row + 1 == Tile::kTaps;
      if (index >= begin) {
        ptx::wait_copies<0>();
        ptx::sync_block();  // both have landed, and all have left the buffers that are filled next
      }
      if (last_row ? has_next : index >= begin) {
        load_row(last_row ? index + 1 : index, last_row ? 0 : tap_row + 1);
      }
#pragma unroll 1
      for (int half = 0; half < 2; ++half) {
        if ((half == 0) == load_first) {
          if (has_next) load_chunk(index + 1, tap_row, Tile::kTaps);
        } else if (index >= begin) {
          multiply_row<Tile>(sum, program, segment, lane, tap_row, chunk.channel, halo_of(index),
                             weight_of(index, tap_row));
        }
      }
      ptx::commit_copies();
    }
    if (index >= begin && chunk.segment == 0 && (!has_next || index + 1 == program.chunks[0])) {
      finish_first_segment<Tile>(sum, p, program, place);
    }
  }
  if (program.splits > 1 && !add_splits<Tile>(sum, p, program, tile, split, buffers.ticket)) {
    ptx::sync_block();
    return;
  }
  store_results<Tile>(p, program, sum, place, column);
  ptx::sync_block();  // the next tile fills the tables and the buffers again
}

template <typename Traits>
__global__ void __launch_bounds__(Traits::kThreads, 1)
    forward_sm80(const __grid_constant__ ForwardParams p) {
  using High = TileTraits<Traits, true>;
  using Low = TileTraits<Traits, false>;
  ptx::SharedMemory shared;
  const uint32_t memory = shared.take(kBufferBytes<Traits>);
  const uint32_t table = shared.take(2 * Traits::kTableBytes);
  const uint32_t ticket = shared.take(16);

  const int64_t high_items = p.high.items(), low_items = p.low.items();
  const int64_t items = high_items + low_items;
  // Low tiles come evenly between the high ones, so that both read a region while it is in the
  // second-level cache. Blocks take turns at each place, or some would get only low tiles.
  for (int64_t wave = 0; wave * ptx::blocks_x() < items; ++wave) {
    const int64_t item =
        wave * ptx::blocks_x() + (ptx::block_x() + wave * p.rotation) % ptx::blocks_x();
    if (item >= items) continue;
    const int64_t low_before = item * low_items / items;
    if ((item + 1) * low_items / items > low_before) {
      const Buffers buffers{memory, memory + 2 * Low::kHaloBytes, table, ticket};
      run_tile<Low>(p, p.low, buffers, static_cast<int32_t>(low_before));
    } else {
      const Buffers buffers{memory, memory + 2 * High::kHaloBytes, table, ticket};
      run_tile<High>(p, p.high, buffers, static_cast<int32_t>(item - low_before));
    }
  }
}

}  // namespace octconv
