// The parameters of the fused forward kernels, as the host makes them and the kernels read them.
// Plain C++: neither torch nor CUDA is known here.
#pragma once

#include <cstdint>

#include "params/activation.h"
#include "params/divisor.h"
#include "params/pixel_map.h"

namespace octconv {

// One of the products that a tile sums up: a convolution of a map, by taps along both axes.
struct Segment : PixelMap {  // what the products run over are its channels
  const void* weight;        // the element of (first row, tap 0, first column) of this path
  bool phases;               // at the grid's resolution, a product for each phase; else at quads
};

// Where results go. Columns first to last - 1 of the product are channels 0.. of this map.
struct Output {
  void* map;             // (batch, height, width, last - first)
  const void* residual;  // null or like map
  int32_t height, width;
  int32_t first, last;
  bool spread;  // each value to 2x2 pixels, divided by how many there are
  int32_t pixel_bytes = 0, row_bytes = 0;  // from one to the next
};

// One kind of tile: a rectangle of quads x a range of columns. High tiles give all four phases of
// their quads, low tiles one value to a quad.
struct Program {
  Segment segment[2];               // one at quads comes first
  Output output[2];                 // absent ones have no columns
  int32_t columns;                  // of the product; 0: no tiles
  int32_t first_column;             // of all columns, where bias, scale and shift begin
  int32_t tile_width, tile_height;  // quads
  int32_t tile_columns;
  int32_t tiles_across, tiles_down, tiles_columns;
  Divisor by_tile_width, by_tiles_across, by_tiles_columns, by_splits;
  int32_t phase_rows, quad_rows;              // most rows of a plane of a halo
  int32_t phase_row_stride, quad_row_stride;  // bytes, of a halo in shared memory
  int32_t chunks[2];                          // of the channels of each segment
  int32_t splits;                             // of all chunks, among blocks

  constexpr int32_t tiles() const { return tiles_across * tiles_down * tiles_columns; }
  constexpr int32_t items() const { return tiles() * splits; }
};

struct ForwardParams {
  Program high, low;
  int32_t batch;
  int32_t taps;                     // of a window along an axis
  int32_t grid_height, grid_width;  // pixels
  int32_t quad_height, quad_width;
  Divisor by_quad_height;
  Divisor by_phase_period, by_quad_period;  // rows of a halo from an image to the next
  int32_t tile_items;                       // high and low ones
  uint32_t low_share;                       // of them, as a part of 2^31, rounded up
  int64_t weight_row;  // elements from a row of the weight to the next: taps * columns
  int64_t weight_tap;  // elements from a tap to the next: columns
  const void* bias;    // null, or one for each column: high ones, then low ones
  // Of inference: activation((sum + bias) * scale + shift + residual). Else scale is null, and no
  // residual is there.
  const float* scale;  // one for each column as of shift: high ones, then low ones
  const float* shift;
  Activation activation;
  int32_t halo_bytes;     // of each of the two halos in shared memory
  int32_t row_bytes;      // of a row of taps there
  int32_t weight_stages;  // such rows, 2 or more: all but one are loaded ahead
  int32_t rotation;       // blocks that the order of a wave is turned by
  float* partial_sums;    // of split tiles
  uint32_t* arrivals;     // one for each tile, high ones first, zeros
};

}  // namespace octconv
