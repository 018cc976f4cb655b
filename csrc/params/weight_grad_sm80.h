// The parameters of the fused weight gradient, as the host makes them and the kernels read them.
// Plain C++: neither torch nor CUDA is known here.
#pragma once

#include <cstdint>

#include "params/divisor.h"
#include "params/pixel_map.h"

namespace octconv {

// One of the four blocks of the weight: the ordinary weight gradient of x and dy, which have the
// same height and width once they are pooled. Its tiles are rectangles of the block at `tap_rows`
// rows of taps; what a tile sums over are pixel tiles, rectangles of the stack of all images.
struct WeightGradJob {
  PixelMap x, dy;
  int32_t height, width;
  int32_t first_row, first_column;  // of the weight
  bool bias;                        // the first column of tiles sums up dy, too
  int32_t row_tiles, column_tiles, tap_tiles;
  int32_t tile_width, tile_height;  // of a pixel tile
  int32_t tiles_across, pixel_tiles;
  int32_t x_rows, x_row_stride;  // of the halo in shared memory, and bytes
  int32_t x_offset;              // bytes from dy to x in a stage
  int32_t splits;                // blocks take turns at the pixel tiles of each tile
  int64_t first_item;            // a block each
  int64_t first_sum;             // in partial_sums, where splits > 1
  int64_t first_position;        // of four columns each, in the launch that adds up splits
  Divisor by_height, by_period, by_tile_width;
  Divisor by_row_positions, by_tap_positions;  // by positions of a row, of a tap of it

  constexpr int32_t rows() const { return dy.channels; }
  constexpr int32_t columns() const { return x.channels; }
  constexpr int64_t tiles() const { return int64_t{row_tiles} * column_tiles * tap_tiles; }
  constexpr int64_t items() const { return tiles() * splits; }
};

// Elements from one row, tap or column to the next.
struct WeightStrides {
  int64_t row, tap, column;
};

constexpr int kPlaceBytes = 16;  // of shared memory, for the place of a block's tile

constexpr int kSplitWarps = 8;    // of a block that adds up splits
constexpr int kSplitsOfWarp = 8;  // of a position, if there are warps for the others

// Of the four blocks of the weight; absent ones have no items.
enum Job : int { kHighToHigh, kLowToHigh, kHighToLow, kLowToLow };
constexpr int kJobs = 4;
constexpr const char* kJobNames[kJobs] = {"W_HH", "W_LH", "W_HL", "W_LL"};

constexpr bool of_low_rows(int job) { return job == kHighToLow || job == kLowToLow; }
constexpr bool of_low_columns(int job) { return job == kLowToHigh || job == kLowToLow; }

struct WeightGradParams {
  WeightGradJob job[kJobs];
  int32_t batch;
  int32_t stage_bytes, shared_bytes;                 // of a block
  void* dweight;                                     // (rows, columns) x taps
  void* dbias;                                       // one for each row, or null
  WeightStrides strides;                             // of dweight
  bool wide_output;                                  // dweight and dbias are float32
  int32_t tile_rows, tile_columns, tile_taps, taps;  // of a tile; of the weight along an axis
  float* partial_sums;  // of each item: (tile_rows, tile_taps, tile_columns), then tile_rows of dy
  int64_t sums;         // of partial_sums
  int64_t positions;    // all jobs'
  int32_t split_bits;   // the base-2 logarithm of the warps that share the splits of each
  Divisor by_tile_rows, by_tile_columns, by_tile_taps;

  constexpr int64_t items() const { return job[kJobs - 1].first_item + job[kJobs - 1].items(); }
  constexpr int64_t item_sums() const {
    return int64_t{tile_rows} * (tile_taps * tile_columns + 1);
  }
};

}  // namespace octconv
