// The fused weight gradient of the octave convolution: all four blocks of the weight and the bias
// in one launch, for tensor cores from sm_80 on. Each block of the weight is an ordinary weight
// gradient, of x and dy at one resolution; pooling and summing are done on the way to shared
// memory.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "sm80/grad_products.cuh"
#include "sm80/grad_sums.cuh"
#include "sm80/pixels.cuh"
#include "weight_grad_params.h"
#include "weight_grad_traits.h"

namespace octconv {

// One pixel tile, whose operands have landed.
template <typename Traits>
__device__ __forceinline__ void multiply_tile(GradSums<Traits>& sum, BiasSums<Traits>& bias,
                                              bool with_bias, const WeightGradParams& p,
                                              const WeightGradJob& job, const TilePlace& place,
                                              uint32_t dy, uint32_t x) {
  using T = typename Traits::T;
  using Step = StepShape<T>;
  const int32_t warp = ptx::thread_x() / 32, warp_n = warp % Traits::kWarpsN;
  const int32_t warp_m = warp / Traits::kWarpsN % Traits::kWarpsM;
  const int32_t group = warp / (Traits::kWarpsN * Traits::kWarpsM);
  // tf32 loads single words: a lane takes channel lane / 4 of each eight.
  const uint32_t channel = sizeof(T) == 2 ? 0 : ptx::lane() / 4 * sizeof(T);
  const uint32_t lane_dy = dy + warp_m * 16 * Traits::kTilesM * sizeof(T) + channel;
  const uint32_t lane_x = x + warp_n * 8 * Traits::kTilesN * sizeof(T) + channel;
  const int32_t pixels = job.tile_width * job.tile_height;
  // Warps beside each other along the columns have the same dy: they take turns at its sum.
  int32_t turn = 0;
#pragma unroll 1
  for (int32_t first = group * Traits::kStepPixels; first < pixels;
       first += Traits::kGroups * Traits::kStepPixels, ++turn) {
    const uint32_t own = x_cell<Traits>(p, job, place, first + ptx::lane());
#pragma unroll 1
    for (int32_t part = 0; part < Step::kTurns; ++part) {
      uint32_t dy_cells[Step::kLanePixels], x_cells[Step::kLanePixels];
#pragma unroll
      for (int i = 0; i < Step::kLanePixels; ++i) {
        const uint32_t pixel = Step::pixel(part, i);
        dy_cells[i] = lane_dy + (first + pixel) * Traits::kDyPitch;
        x_cells[i] = lane_x + (Step::kTurns == 1 ? own : ptx::shuffle(own, pixel));
      }
      multiply_pixels<Traits>(sum, bias, with_bias && turn % Traits::kWarpsN == warp_n, dy_cells,
                              x_cells, job.x_row_stride);
    }
  }
}

// Zeros behind the last pixel of dy, up to a whole step: products with them are none.
template <typename Traits>
__device__ __forceinline__ void fill_steps(const WeightGradParams& p, const WeightGradJob& job,
                                           uint32_t memory) {
  const int32_t begin = job.tile_width * job.tile_height * Traits::kDyPitch;
  for (int stage = 0; stage < Traits::kStages; ++stage) {
    for (int32_t at = begin + ptx::thread_x() * 16; at < job.x_offset;
         at += Traits::kThreads * 16) {
      ptx::store_shared(memory + stage * p.stage_bytes + at, ptx::Word128{});
    }
  }
}

// The job that an item belongs to.
__device__ __forceinline__ const WeightGradJob& job_of(const WeightGradParams& p, int64_t item) {
  int index = 0;
  while (index + 1 < kJobs && item >= p.job[index + 1].first_item) ++index;
  return p.job[index];
}

template <typename Traits>
__global__ void __launch_bounds__(Traits::kThreads, 1)
    weight_grad_sm80(const __grid_constant__ WeightGradParams p) {
  using T = typename Traits::T;
  ptx::SharedMemory shared;
  const uint32_t memory = shared.take(p.shared_bytes);
  const WeightGradJob& job = job_of(p, ptx::block_x());
  const auto item = static_cast<int32_t>(ptx::block_x() - job.first_item);
  const int32_t tile = item / job.splits, split = item % job.splits;
  const int32_t rectangle = tile / job.tap_tiles;
  const WeightPlace place{rectangle / job.column_tiles * Traits::kRows,
                          rectangle % job.column_tiles * Traits::kColumns, tile % job.tap_tiles};
  const bool with_bias = job.bias && place.column == 0 && place.tap_row == 0;

  fill_steps<Traits>(p, job, memory);
  GradSums<Traits> sum;
  BiasSums<Traits> bias;
#pragma unroll
  for (int m = 0; m < Traits::kTilesM; ++m) {
    for (int i = 0; i < 4; ++i) bias[m][i] = 0;
#pragma unroll
    for (int tap = 0; tap < Traits::kTapRows * Traits::kTaps; ++tap) {
#pragma unroll
      for (int n = 0; n < Traits::kTilesN; ++n) {
        for (int i = 0; i < 4; ++i) sum[tap / Traits::kTaps][tap % Traits::kTaps][m][n][i] = 0;
      }
    }
  }

  // All splits sweep over the images side by side, and so do all jobs: what one reads another finds
  // in the second-level cache. A turn multiplies one pixel tile and loads another.
  const int32_t turns = (job.pixel_tiles - split + job.splits - 1) / job.splits;
  const auto place_at = [&](int32_t turn) { return place_of(job, split + turn * job.splits); };
  const auto stage_at = [&](int32_t turn) {
    return memory + turn % Traits::kStages * p.stage_bytes;
  };
  const auto load = [&](int32_t turn, bool dy, bool x) {
    const TilePlace pixels = place_at(turn);
    const uint32_t to = stage_at(turn);
    if (dy) load_dy<Traits>(p, job, pixels, place.row, to);
    if (x) load_x<Traits>(p, job, pixels, place.tap_row, place.column, to + job.x_offset);
  };
  // Half of the warps pool before they multiply and half behind: then each scheduler always has one
  // that multiplies. Asynchronous copies all go first.
  const bool pools_first = ptx::thread_x() / 32 < Traits::kWarps / 2;
#pragma unroll 1
  for (int32_t turn = 1 - Traits::kStages; turn < turns; ++turn) {
    if (turn >= 0) {
      ptx::wait_copies<Traits::kStages - 2>();
      ptx::sync_block();  // it has landed, and all have left the stage that is filled next
    }
    const int32_t ahead = turn + Traits::kStages - 1;
#pragma unroll 1
    for (int half = 0; half < 2; ++half) {
      const bool first = half == 0;
      if (ahead < turns) {
        load(ahead, first ? job.dy.pools == 0 || pools_first : job.dy.pools > 0 && !pools_first,
             first ? job.x.pools == 0 || pools_first : job.x.pools > 0 && !pools_first);
      }
      if (first) ptx::commit_copies();
      if (first && turn >= 0) {
        const uint32_t from = stage_at(turn);
        multiply_tile<Traits>(sum, bias, with_bias, p, job, place_at(turn), from,
                              from + job.x_offset);
      }
    }
  }

  // Where results go, or, of split tiles, what add_weight_grad_splits adds up.
  const bool splits = job.splits > 1, floats = splits || p.wide_output || sizeof(T) == 4;
  float* partial = p.partial_sums + job.first_sum + item * p.item_sums();
  const int32_t rows = job.rows() - place.row, columns = job.columns() - place.column;
  if (with_bias) {
    const float of_row = add_bias<Traits>(bias, memory);
    const int32_t row = ptx::thread_x(), in_bias = job.first_row + place.row + row;
    float* of_item = partial + Traits::kRows * p.tile_taps * Traits::kColumns;
    if (row < Traits::kRows && row < rows) {
      if (floats) {
        store_element(splits ? of_item + row : static_cast<float*>(p.dbias) + in_bias, of_row);
      } else {
        store_element(static_cast<T*>(p.dbias) + in_bias, of_row);
      }
    }
  }
  const int32_t group = ptx::thread_x() / 32 / (Traits::kWarpsN * Traits::kWarpsM);
  add_groups<Traits>(sum, group, memory);
  if (group > 0) return;
  const int64_t element = (job.first_row + place.row) * p.strides.row +
                          (job.first_column + place.column) * p.strides.column +
                          place.tap_row * Traits::kTaps * p.strides.tap;
  if (floats) {
    const WeightStrides strides{splits ? p.tile_taps * Traits::kColumns : p.strides.row,
                                splits ? Traits::kColumns : p.strides.tap,
                                splits ? 1 : p.strides.column};
    store_sums<Traits>(sum, splits ? partial : static_cast<float*>(p.dweight) + element, strides,
                       rows, columns, job.factor);
  } else {
    store_sums<Traits>(sum, static_cast<T*>(p.dweight) + element, p.strides, rows, columns,
                       job.factor);
  }
}

}  // namespace octconv
