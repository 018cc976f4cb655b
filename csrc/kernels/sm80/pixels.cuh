// The pixels of a tile of the weight gradient: where they lie in the stack of all images, and how
// both operands come into shared memory. Images lie one below the other; where the taps of a tile
// reach over several rows, rows of zeros lie between them in the halo of x, which both neighbours
// share.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "halo.cuh"
#include "kernels/window.cuh"
#include "kernels/with_taps.cuh"
#include "params/weight_grad_sm80.h"

namespace octconv {

// The place of pixel tile `tile` of a job.
__device__ __forceinline__ TilePlace place_of(const WeightGradJob& job, int32_t tile) {
  const int32_t down = tile / job.tiles_across;
  TilePlace place;
  place.row = down * job.tile_height;
  place.x = (tile - down * job.tiles_across) * job.tile_width;
  place.image = job.by_height.quotient(place.row);
  place.y = place.row - place.image * job.height;
  return place;
}

// Which rows and cells of a map a tile has in shared memory. Row i lies at row first + i of a stack
// that begins with the tile's first image and has one image each `period` rows; taps of another row
// shift it within the image.
struct MapWindow {
  int32_t first, shift, x;
  int32_t rows, cells, row_stride;
  Divisor period;
};

constexpr int kWindows = 2;  // that a thread pools together: their loads are under way together

// Where the window of a cell begins, and how many of its columns are there; 0: a cell of zeros.
struct CellSource {
  const char* pixel;
  int32_t columns;
};

// Fills one row of cells, this lane's 16 bytes of every kStep-th one from `first` on: by
// asynchronous copies, or, where the map is pooled, at once, from windows of `rows` rows, 0 for
// zeros. kWindows of them are under way together. source_of(cell) is asked for cells behind the
// last one, too.
template <typename T, int kPitch, int kStep, typename SourceOf>
__device__ __forceinline__ void fill_cells(const PixelMap& map, int32_t rows, int32_t first,
                                           int32_t cells, uint32_t to, const SourceOf& source_of) {
  const int64_t pixel_bytes = int64_t{map.channels} * sizeof(T);
  const int64_t row_bytes = map.width * pixel_bytes;
  if (map.pools == 0) {
    for (int32_t cell = first; cell < cells; cell += kStep) {
      const CellSource from = source_of(cell);
      const bool inside = rows > 0 && from.columns > 0;
      ptx::copy_async(to + cell * kPitch, inside ? from.pixel : map.source, inside ? 16 : 0);
    }
  } else if (map.pools == 1) {
#pragma unroll 1
    for (int32_t cell = first; cell < cells; cell += kWindows * kStep) {
      Window<T> windows[kWindows];
      for (int i = 0; i < kWindows; ++i) {
        const CellSource from = source_of(cell + i * kStep);
        if (rows > 0 && from.columns > 0) {
          windows[i].load(from.pixel, row_bytes, pixel_bytes, rows, from.columns, map.sums);
        }
      }
      for (int i = 0; i < kWindows && cell + i * kStep < cells; ++i) {
        ptx::store_shared(to + (cell + i * kStep) * kPitch, windows[i].pooled());
      }
    }
  } else {
#pragma unroll 1
    for (int32_t cell = first; cell < cells; cell += kStep) {
      const CellSource from = source_of(cell);
      ptx::Word128 word{};
      if (rows > 0 && from.columns > 0) {
        word = pool_twice<T>(from.pixel, row_bytes, pixel_bytes, rows, from.columns);
      }
      ptx::store_shared(to + cell * kPitch, word);
    }
  }
}

// Fills the window with the channels from `channel` on, with zeros where no pixel is: by
// asynchronous copies, or, where the map is pooled, at once. Cell: T, kBytes, kPitch, kWarps.
template <typename Cell>
__device__ __forceinline__ void load_map(const WeightGradParams& p, const WeightGradJob& job,
                                         const PixelMap& map, const TilePlace& place,
                                         const MapWindow& window, int32_t channel, uint32_t to) {
  using T = typename Cell::T;
  const LaneCell<Cell> lane;
  const int64_t pixel_bytes = int64_t{map.channels} * sizeof(T);
  const int64_t row_bytes = map.width * pixel_bytes;
  const int32_t first_channel = channel + lane.vector * (16 / sizeof(T));
  const bool has_channels = first_channel < map.channels;
  const char* source = static_cast<const char*>(map.source) + int64_t{first_channel} * sizeof(T);
  const int32_t side = 1 << map.pools;
#pragma unroll 1
  for (int32_t row = ptx::thread_x() / 32; row < window.rows; row += Cell::kWarps) {
    const int32_t below = window.first + row;  // above the first image lie zeros
    const int32_t image = below < 0 ? 0 : window.period.quotient(below);
    const int32_t y = below - image * window.period.value + window.shift;
    const bool has_row = has_channels && y >= 0 && y < job.height && place.image + image < p.batch;
    const int32_t source_y = y << map.pools;
    const char* source_row =
        source + (int64_t{place.image + image} * map.height + source_y) * row_bytes;
    const int32_t left_rows = map.height - source_y, rows = left_rows < side ? left_rows : side;
    const auto source_of = [&](int32_t cell) {
      const int32_t x = window.x + cell, left = map.width - (x << map.pools);
      const bool inside = has_row && x >= 0 && x < job.width && cell < window.cells;
      return CellSource{source_row + int64_t{x << map.pools} * pixel_bytes, !inside       ? 0
                                                                            : left < side ? left
                                                                                          : side};
    };
    fill_cells<T, Cell::kPitch, LaneCell<Cell>::kCells>(
        map, rows, lane.cell, window.cells, to + row * window.row_stride + lane.vector * 16,
        source_of);
  }
}

template <typename Traits, int kChannels, int kCellPitch>
struct CellOf {
  using T = typename Traits::T;
  static constexpr int kVectors = kChannels * sizeof(T) / 16, kPitch = kCellPitch;
  static constexpr int kWarps = Traits::kWarps;
};

template <typename Traits>
__device__ __forceinline__ void load_dy(const WeightGradParams& p, const WeightGradJob& job,
                                        const TilePlace& place, int32_t channel, uint32_t to) {
  const MapWindow window{
      place.y,      0, place.x, job.tile_height, job.tile_width, job.tile_width * Traits::kDyPitch,
      job.by_height};
  load_map<CellOf<Traits, Traits::kRows, Traits::kDyPitch>>(p, job, job.dy, place, window, channel,
                                                            to);
}

// For the taps of tap row `tap_row`, or of all.
template <typename Traits>
__device__ __forceinline__ void load_x(const WeightGradParams& p, const WeightGradJob& job,
                                       const TilePlace& place, int32_t tap_row, int32_t channel,
                                       uint32_t to) {
  const int32_t padding = taps_of<Traits>(p) / 2;
  const MapWindow window{place.y - Traits::kReach,
                         Traits::kReach > 0 ? 0 : tap_row - padding,
                         place.x - padding,
                         job.x_rows,
                         job.tile_width + 2 * padding,
                         job.x_row_stride,
                         job.by_period};
  load_map<CellOf<Traits, Traits::kColumns, Traits::kXPitch>>(p, job, job.x, place, window, channel,
                                                              to);
}

// Bytes from the begin of x in shared memory to the cell that pixel `pixel` of a tile meets at the
// first tap. Pixels that are not there, of which dy is zero, meet what the first one does.
template <typename Traits>
__device__ __forceinline__ uint32_t x_cell(const WeightGradParams& p, const WeightGradJob& job,
                                           const TilePlace& place, int32_t pixel) {
  const int32_t row = job.by_tile_width.quotient(pixel);
  const int32_t column = pixel - row * job.tile_width;
  const bool inside = row < job.tile_height && place.x + column < job.width &&
                      row < p.batch * job.height - place.row;
  const int32_t images = Traits::kReach > 0 ? job.by_height.quotient(place.y + row) : 0;
  const int32_t offset =
      (row + images * Traits::kReach) * job.x_row_stride + column * Traits::kXPitch;
  return inside ? offset : 0;
}

}  // namespace octconv
