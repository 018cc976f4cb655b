// The halo of a tile: the cells of one segment that the taps of the tile's quads read. The images
// of a batch lie one below the other, with rows of zeros between them that both neighbours share,
// so that a tile of any height has full rows. Phases read four planes, quads one.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/phase.cuh"
#include "kernels/window.cuh"
#include "kernels/with_taps.cuh"
#include "params/forward_sm80.h"
#include "traits/forward_sm80.h"

namespace octconv {

// The place of a tile in the stack of images: its first quad.
struct TilePlace {
  int32_t row;  // of all images' quad rows
  int32_t x;
  int32_t image;  // of the first row
  int32_t y;      // in that image
};

// How a halo lies in shared memory.
struct HaloShape {
  int32_t planes;      // along each axis: 2 for phases, 1 for quads
  int32_t rows;        // of a plane, at most
  int32_t cells;       // of a row of a plane; the planes along x lie side by side in a row
  int32_t row_stride;  // bytes
  int32_t separators;  // rows of zeros between images
  int32_t padding;

  template <typename Traits>
  static __device__ __forceinline__ HaloShape of(const ForwardParams& params,
                                                 const Program& program, bool phases) {
    const int32_t p = taps_of<Traits>(params) / 2;
    if (phases) {
      return {2,
              program.phase_rows,
              program.tile_width + p,
              program.phase_row_stride,
              phase::separators(p),
              p};
    }
    return {1, program.quad_rows, program.tile_width + 2 * p, program.quad_row_stride, p, p};
  }

  // The shift, in quads, of a plane's first row or cell from the tile's first one.
  __device__ __forceinline__ int32_t first_shift(int32_t plane) const {
    return planes == 2 ? phase::first_shift(plane, padding) : -padding;
  }

  // Bytes from the halo's begin to the cell of quad (ty, tx) of the tile, `images` borders below
  // its first row, at the first shift of plane 0.
  template <typename Traits>
  __device__ __forceinline__ uint32_t offset_of(int32_t ty, int32_t tx, int32_t images) const {
    return (ty + images * separators) * row_stride + tx * Traits::kCellPitch;
  }
};

// Of the threads of those warps that load.
template <typename Traits>
__device__ __forceinline__ int32_t loader_thread() {
  return ptx::thread_x() - Traits::kMultiplierThreads;
}

// What a table says of a row or a column: the bytes to the first one of the source that it is made
// of, a multiple of 16, plus 16, plus how many more of a window are there; 0: it is one of zeros.
template <typename Offset>
struct TableEntry {
  static constexpr int kBytes = sizeof(Offset);
  Offset bits;

  static __device__ __forceinline__ TableEntry of(bool inside, Offset offset, int32_t count) {
    return {inside ? offset + 16 + (count - 1) : 0};
  }
  __device__ __forceinline__ bool inside() const { return bits != 0; }
  // Of maps that are not pooled. Also a multiple of 16 if there is none.
  __device__ __forceinline__ int64_t only() const { return static_cast<int64_t>(bits) - 16; }
  __device__ __forceinline__ int64_t first() const {
    return static_cast<int64_t>(bits & ~Offset{15}) - 16;
  }
  __device__ __forceinline__ int32_t count() const {
    return bits == 0 ? 0 : static_cast<int32_t>(bits & 15) + 1;
  }
};
using RowEntry = TableEntry<uint64_t>;
using ColumnEntry = TableEntry<uint32_t>;

// Entries of all rows of the halo's planes, counted over all images, and of the cells of a row.
template <typename Traits>
__device__ __forceinline__ void make_tables(const ForwardParams& p, const Segment& segment,
                                            const HaloShape& shape, const TilePlace& place,
                                            uint32_t row_table, uint32_t column_table) {
  const bool phases = shape.planes == 2;
  const Divisor& by_period = phases ? p.by_phase_period : p.by_quad_period;
  const int32_t window = 1 << segment.pools;
  const int32_t pixel_bytes = segment.channels * static_cast<int32_t>(sizeof(typename Traits::T));
  for (int32_t i = loader_thread<Traits>(); i < shape.planes * shape.rows;
       i += Traits::kLoaderThreads) {
    const int32_t plane = i >= shape.rows ? 1 : 0;
    const int32_t below = place.y + shape.first_shift(plane) + i - plane * shape.rows;
    // Within the stack that starts with the tile's first image; above it lie separators.
    const int32_t image = below < 0 ? 0 : by_period.quotient(below);
    const int32_t y = below - image * by_period.value;
    const int32_t grid_y = shape.planes * y + plane;
    const int32_t grid_height = phases ? p.grid_height : p.quad_height;
    const bool inside =
        y >= 0 && y < p.quad_height && grid_y < grid_height && place.image + image < p.batch;
    const int32_t source_y = grid_y << segment.pools, left = segment.height - source_y;
    const int64_t row = int64_t{place.image + image} * segment.height + source_y;
    const RowEntry entry =
        RowEntry::of(inside, row * segment.width * pixel_bytes, left < window ? left : window);
    ptx::store_shared(row_table + RowEntry::kBytes * i, entry.bits);
  }
  for (int32_t i = loader_thread<Traits>(); i < shape.planes * shape.cells;
       i += Traits::kLoaderThreads) {
    const int32_t plane = i >= shape.cells ? 1 : 0;
    const int32_t x = place.x + shape.first_shift(plane) + i - plane * shape.cells;
    const int32_t grid_x = shape.planes * x + plane;
    const bool inside = x >= 0 && grid_x < (phases ? p.grid_width : p.quad_width);
    const int32_t source_x = grid_x << segment.pools, left = segment.width - source_x;
    const ColumnEntry entry =
        ColumnEntry::of(inside, source_x * pixel_bytes, left < window ? left : window);
    ptx::store_shared(column_table + ColumnEntry::kBytes * i, entry.bits);
  }
}

// The lanes of a warp share neighbouring cells so that a quarter of them writes four cells of one
// parity, two vectors of 16 bytes each: whole sectors of global memory, all banks of shared memory.
// Of cells of 128 bytes or more it writes eight vectors of one.
template <typename Traits>
struct LaneCell {
  static constexpr int kCells = 32 / Traits::kVectors;  // of a warp
  int32_t cell, vector;

  __device__ __forceinline__ LaneCell() {
    const int32_t in_quarter = ptx::lane() % 8, quarter = ptx::lane() / 8;
    if (Traits::kVectors >= 8) {
      cell = ptx::lane() / Traits::kVectors;
      vector = ptx::lane() % Traits::kVectors;
      return;
    }
    cell = in_quarter / 2 * 2 + quarter % 2;
    vector = in_quarter % 2;
    if (Traits::kVectors == 4) vector += quarter / 2 * 2;
    if (Traits::kVectors == 2) cell += quarter / 2 * 8;
  }
};

// A halo as the warps that load fill it. Each fills rows of its own, and a lane 16 bytes of every
// kStep-th cell: what it has to know of its columns it looks up once for all rows.
template <typename Traits>
struct HaloLoader {
  using T = typename Traits::T;
  static constexpr int kStep = LaneCell<Traits>::kCells, kPitch = Traits::kCellPitch;

  const Segment& segment;
  const char* source;  // of the lane's channels
  bool has_channels;
  int32_t rows, cells;  // the latter count from the lane's first one
  uint32_t row_stride, row_table, column_table, to;

  __device__ __forceinline__ HaloLoader(const Segment& segment_, const HaloShape& shape,
                                        int32_t channel, uint32_t to_, uint32_t row_table_,
                                        uint32_t column_table_)
      : segment(segment_), row_stride(shape.row_stride), row_table(row_table_) {
    const LaneCell<Traits> lane;
    const int32_t first = channel + lane.vector * (16 / static_cast<int32_t>(sizeof(T)));
    has_channels = first < segment.channels;
    source = static_cast<const char*>(segment.source) + int64_t{first} * sizeof(T);
    rows = shape.planes * shape.rows, cells = shape.planes * shape.cells - lane.cell;
    column_table = column_table_ + ColumnEntry::kBytes * lane.cell;
    to = to_ + lane.cell * kPitch + lane.vector * 16;
  }

  // Calls visit(entry, its row in shared memory) for the rows of this warp.
  template <typename Visit>
  __device__ __forceinline__ void for_each_row(const Visit& visit) const {
    const int32_t warp = loader_thread<Traits>() / 32;
    uint32_t table = row_table + RowEntry::kBytes * warp, to_row = to + row_stride * warp;
#pragma unroll 2
    for (int32_t row = warp; row < rows; row += kLoaderWarps) {
      RowEntry entry;
      ptx::load_shared(entry.bits, table);
      visit(entry, to_row);
      table += RowEntry::kBytes * kLoaderWarps;
      to_row += row_stride * kLoaderWarps;
    }
  }
  __device__ __forceinline__ ColumnEntry column(int32_t cell) const {
    ColumnEntry entry;
    ptx::load_shared(entry.bits, column_table + ColumnEntry::kBytes * cell);
    return entry;
  }

  // By asynchronous copies.
  __device__ __forceinline__ void copy() const {
    constexpr int kTogether = 4;
    static_assert((kTogether - 1) * kStep <= Traits::kTablePadding);
#pragma unroll 1
    for (int32_t cell = 0; cell < cells; cell += kTogether * kStep) {
      int64_t offset[kTogether];
      bool wanted[kTogether], inside[kTogether];
      for (int i = 0; i < kTogether; ++i) {
        const ColumnEntry entry = column(cell + i * kStep);
        offset[i] = entry.only();
        wanted[i] = cell + i * kStep < cells;
        inside[i] = entry.inside() && has_channels;
      }
      for_each_row([&](const RowEntry& row, uint32_t to_row) {
        const char* source_row = source + row.only();
        for (int i = 0; i < kTogether; ++i) {
          ptx::copy_async_if(wanted[i], to_row + (cell + i * kStep) * kPitch,
                             source_row + offset[i], inside[i] && row.inside() ? 16 : 0);
        }
      });
    }
  }

  // Pooled once, at once.
  __device__ __forceinline__ void pool() const {
    constexpr int kWindows = sizeof(T) == 2 ? 2 : 1;  // under way together; more would spill
    const int64_t pixel_bytes = int64_t{segment.channels} * sizeof(T);
    const int64_t row_bytes = segment.width * pixel_bytes;
#pragma unroll 1
    for (int32_t cell = 0; cell < cells; cell += kWindows * kStep) {
      ColumnEntry entry[kWindows];
      for (int i = 0; i < kWindows; ++i) entry[i] = column(cell + i * kStep);
      for_each_row([&](const RowEntry& row, uint32_t to_row) {
        Window<T> windows[kWindows];
        for (int i = 0; i < kWindows; ++i) {
          if (has_channels && row.inside() && entry[i].inside() && cell + i * kStep < cells) {
            windows[i].load(source + row.first() + entry[i].first(), row_bytes, pixel_bytes,
                            row.count(), entry[i].count(), Traits::kTransposed);
          }
        }
        for (int i = 0; i < kWindows && cell + i * kStep < cells; ++i) {
          ptx::store_shared(to_row + (cell + i * kStep) * kPitch, windows[i].pooled());
        }
      });
    }
  }

  __device__ __forceinline__ void pool_twice() const {
    const int64_t pixel_bytes = int64_t{segment.channels} * sizeof(T);
    const int64_t row_bytes = segment.width * pixel_bytes;
#pragma unroll 1
    for (int32_t cell = 0; cell < cells; cell += kStep) {
      const ColumnEntry entry = column(cell);
      for_each_row([&](const RowEntry& row, uint32_t to_row) {
        ptx::Word128 word{};
        if (has_channels && row.inside() && entry.inside()) {
          word = octconv::pool_twice<T>(source + row.first() + entry.first(), row_bytes,
                                        pixel_bytes, row.count(), entry.count());
        }
        ptx::store_shared(to_row + cell * kPitch, word);
      });
    }
  }

  __device__ __forceinline__ void load() const {
    if (segment.pools == 0) {
      copy();
    } else if (segment.pools == 1) {
      pool();
    } else if constexpr (!Traits::kTransposed) {  // the input gradient pools once at most
      pool_twice();
    }
  }
};

}  // namespace octconv
