// The fused weight gradient of the octave convolution: all four blocks of the weight and the bias
// in one launch, for tensor cores from sm_80 on. Each block of the weight is an ordinary weight
// gradient, of x and dy at one resolution; pooling and summing are done on the way to shared
// memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>

#include "kernels/grad_item.cuh"
#include "params/weight_grad_sm80.h"
#include "sm80/grad_products.cuh"
#include "sm80/grad_sums.cuh"
#include "sm80/pixels.cuh"
#include "traits/weight_grad_sm80.h"
#include "with_taps.cuh"

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
  const uint32_t lane_dy =
      dy + warp_m * 16 * Traits::kTilesM * sizeof(T) + dy_lane_offset<Traits>();
  // tf32 loads single words: a lane takes column lane / 4 of each eight.
  const uint32_t lane_x = x + warp_n * 8 * Traits::kTilesN * sizeof(T) +
                          (sizeof(T) == 2 ? 0 : ptx::lane() / 4 * sizeof(T));
  const int32_t pixels = job.tile_width * job.tile_height;
  // Warps beside each other along the columns have the same dy: they take turns at its sum.
  with_taps<Traits>(taps_of<Traits>(p), [&](auto taps) {
    int32_t turn = 0;
#pragma unroll 1
    for (int32_t first = group * Traits::kStepPixels; first < pixels;
         first += Traits::kGroups * Traits::kStepPixels, ++turn) {
      const uint32_t own = x_cell<Traits>(p, job, place, first + ptx::lane());
#pragma unroll 1
      for (int32_t part = 0; part < Step::kTurns; ++part) {
        uint32_t cells[Step::kLanePixels];
#pragma unroll
        for (int i = 0; i < Step::kLanePixels; ++i) {
          cells[i] = lane_x + (Step::kTurns == 1 ? own : ptx::shuffle(own, Step::pixel(part, i)));
        }
        multiply_pixels<Traits, taps>(sum, bias, with_bias && turn % Traits::kWarpsN == warp_n,
                                      lane_dy + (first + part * Step::kPixels) * Traits::kDyPitch,
                                      cells, job.x_row_stride);
      }
    }
  });
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

// Where the tile of an item lies within its job's block of the weight. It is kept in shared memory:
// the sums leave few registers to what is seldom needed.
struct WeightPlace {
  int32_t row, column, tap_row, item;

  template <typename Traits>
  static __device__ __forceinline__ ptx::Word128 words_of(const WeightGradJob& job, int32_t item) {
    const int32_t tile = item / job.splits, rectangle = tile / job.tap_tiles;
    const int32_t row = rectangle / job.column_tiles;
    return {{static_cast<uint32_t>(row * Traits::kRows),
             static_cast<uint32_t>((rectangle - row * job.column_tiles) * Traits::kColumns),
             static_cast<uint32_t>(tile - rectangle * job.tap_tiles), static_cast<uint32_t>(item)}};
  }
  explicit __device__ __forceinline__ WeightPlace(uint32_t address) {
    ptx::Word128 words;
    ptx::load_shared(words, address);
    memcpy(this, &words, sizeof(words));
  }
  __device__ __forceinline__ bool has_bias(const WeightGradJob& job) const {
    return job.bias && column == 0 && tap_row == 0;
  }
};

template <typename Traits>
__global__ void __launch_bounds__(Traits::kThreads, 1)
    weight_grad_sm80(const __grid_constant__ WeightGradParams p) {
  ptx::SharedMemory shared;
  const uint32_t memory = shared.take(p.shared_bytes - kPlaceBytes);
  const uint32_t in_shared = shared.take(kPlaceBytes);
  const WeightGradJob& job = p.job[job_of(p, ptx::block_x())];
  const auto item = static_cast<int32_t>(ptx::block_x() - job.first_item);
  const int32_t split = item % job.splits;
  if (ptx::thread_x() == 0) ptx::store_shared(in_shared, WeightPlace::words_of<Traits>(job, item));
  ptx::sync_block();
  const bool with_bias = WeightPlace(in_shared).has_bias(job);

  fill_steps<Traits>(p, job, memory);
  GradSums<Traits> sum{};
  BiasSums<Traits> bias{}, excess{};

  // All splits sweep over the images side by side, and so do all jobs: what one reads another finds
  // in the second-level cache. A turn multiplies one pixel tile and loads another, kStages - 1
  // turns ahead; those before the first one only load.
  const auto load = [&](int32_t pixel_tile, uint32_t to, bool dy, bool x) {
    const TilePlace pixels = place_of(job, pixel_tile);
    const WeightPlace place(in_shared);
    if (dy) load_dy<Traits>(p, job, pixels, place.row, to);
    if (x) load_x<Traits>(p, job, pixels, place.tap_row, place.column, to + job.x_offset);
  };
  // Half of the warps pool before they multiply and half behind: then each scheduler always has one
  // that multiplies. Asynchronous copies all go first.
  const bool pools_first = ptx::thread_x() / 32 < Traits::kWarps / 2;
  int32_t stage = 0;  // of the current tile
#pragma unroll 1
  for (int32_t pixel_tile = split - (Traits::kStages - 1) * job.splits;
       pixel_tile < job.pixel_tiles; pixel_tile += job.splits) {
    if (pixel_tile >= 0) {
      ptx::wait_copies<Traits::kStages - 2>();
      ptx::sync_block();  // it has landed, and all have left the stage that is filled next
    }
    const int32_t ahead = pixel_tile + (Traits::kStages - 1) * job.splits;
    const uint32_t current = memory + stage * p.stage_bytes;
    // The stages go around, so the one before is kStages - 1 ahead.
    const uint32_t filled = memory + (stage > 0 ? stage - 1 : Traits::kStages - 1) * p.stage_bytes;
    stage = stage + 1 < Traits::kStages ? stage + 1 : 0;
#pragma unroll 1
    for (int half = 0; half < 2; ++half) {
      const bool first = half == 0;
      if (ahead < job.pixel_tiles) {
        load(ahead, filled,
             first ? job.dy.pools == 0 || pools_first : job.dy.pools > 0 && !pools_first,
             first ? job.x.pools == 0 || pools_first : job.x.pools > 0 && !pools_first);
      }
      if (first) ptx::commit_copies();
      if (first && pixel_tile >= 0) {
        const auto multiply = [&](BiasSums<Traits>& of_dy) {
          multiply_tile<Traits>(sum, of_dy, with_bias, p, job, place_of(job, pixel_tile), current,
                                current + job.x_offset);
        };
        if constexpr (sizeof(typename Traits::T) == 2) {
          multiply(bias);
        } else {
          BiasSums<Traits> of_tile{};
          multiply(of_tile);
          if (with_bias) add_compensated<Traits>(bias, excess, of_tile);
        }
      }
    }
  }

  // Where results go, or, of split tiles, what add_weight_grad_splits adds up.
  using Output = GradOutput<typename Traits::T>;
  const WeightPlace place(in_shared);
  const bool splits = job.splits > 1;
  float* partial = p.partial_sums + job.first_sum + place.item * p.item_sums();
  const int32_t rows = job.rows() - place.row, columns = job.columns() - place.column;
  if (place.has_bias(job)) {
    const float of_row = add_bias<Traits>(bias, memory);
    const int32_t row = ptx::thread_x();
    const Output to = splits
                          ? Output::of_partial(
                                partial + Traits::kRows * p.tile_taps * Traits::kColumns, {1, 0, 0})
                          : Output::of_bias(p).from(job.first_row + place.row);
    to.store_if(row < Traits::kRows && row < rows, to.at(row), of_row);
  }
  const int32_t group = ptx::thread_x() / 32 / (Traits::kWarpsN * Traits::kWarpsM);
  add_groups<Traits>(sum, group, memory);
  if (group > 0) return;
  const int32_t taps = taps_of<Traits>(p);
  const Output to =
      splits ? Output::of_partial(partial, {p.tile_taps * Traits::kColumns, Traits::kColumns, 1})
             : Output::of_weight(p).from(job.first_row + place.row, place.tap_row * taps,
                                         job.first_column + place.column);
  store_sums<Traits>(sum, to, rows, taps, columns);
}

}  // namespace octconv
