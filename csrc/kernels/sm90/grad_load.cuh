// What the fourth warpgroup of weight_grad_sm90 does: one thread copies the pixel tiles, by tensor
// maps, and three warps pool them, or sum up dy. Channels and pixels that are not there are zeros.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/tensor_copy.cuh"
#include "grad_block.cuh"
#include "kernels/grad_output.cuh"
#include "kernels/window.cuh"

namespace octconv::sm90 {

constexpr uint32_t kHelpersMeet = 1;  // a named barrier

template <typename Traits>
__device__ __forceinline__ void load_grad_tiles(const WeightGradSm90Params& p, const GradItem& item,
                                                BufferRing stages) {
  const WeightGradJob& job = p.job[item.index];
  const GradSm90Job& more = p.more[item.index];
  const GradSm90Cells cells{job.tile_height, more.images, more.pools};
  const uint32_t bytes = (cells.fixed() + cells.shifted()) * Traits::kCell;
  const int32_t scale = more.pools ? 2 : 1;
  const int32_t fixed_channel = more.turned ? item.column : item.row;
  const int32_t shifted_channel = more.turned ? item.row : item.column;
  for (int32_t tile = item.split; tile < job.pixel_tiles; tile += job.splits, stages.advance()) {
    const GradPlace at(job, more, tile);
    ptx::wait_barrier(stages.empty(), stages.parity ^ 1);
    ptx::arrive_expecting(stages.full(), bytes);
    ptx::copy_box(stages.buffer(), &p.fixed[item.index], stages.full(), fixed_channel, scale * at.x,
                  scale * at.y, at.image);
    ptx::copy_box(stages.buffer() + more.shifted_offset, &p.shifted[item.index], stages.full(),
                  shifted_channel, at.x - 1, at.y - 1, at.image);
  }
}

// What a helper pools of a pixel tile in turns: 16 bytes of two windows at once, for with one it
// would wait. From turn to turn all addresses move by as many rows of windows.
template <typename Traits>
struct PoolTurns {
  static constexpr int32_t kWindows = 2, kRow = 2 * kGradSm90Width;  // cells
  static constexpr int32_t kApart = kGradSm90Helpers / Traits::kChunks;
  static constexpr int32_t kRows = kWindows * kApart / kGradSm90Width;
  static constexpr uint32_t kRowBytes = kRow * Traits::kCell, kBytes = 2 * kRows * kRowBytes;
  static_assert(kWindows * kApart % kGradSm90Width == 0);
  // From a pixel to its neighbour, bits that change: of 64 bytes two lie in a line.
  static constexpr uint32_t kNeighbour = Traits::kCell == 64 ? 64 : 128 | 16;
  int32_t x[kWindows], y[kWindows];
  uint32_t first[kWindows], pooled[kWindows];  // bytes

  __device__ __forceinline__ explicit PoolTurns(int32_t thread) {
#pragma unroll
    for (int i = 0; i < kWindows; ++i) {
      const int32_t chunk = thread % Traits::kChunks,
                    window = thread / Traits::kChunks + i * kApart;
      x[i] = window % kGradSm90Width, y[i] = window / kGradSm90Width;
      const uint32_t left = chunk_at<Traits>(2 * y[i] * kRow + 2 * x[i], chunk);
      // Every other window from the right, for no bank twice.
      first[i] = Traits::kCell == 64 && x[i] % 2 == 1 ? left ^ kNeighbour : left;
      // The pixel whose line is another than that of its neighbours: ldmatrix meets no conflict.
      pooled[i] = x[i] / 4 == 0 ? left : left ^ kNeighbour;
    }
  }

  // One image of a pixel tile, in place, in as many turns for all lanes of a warp. `factor`: of
  // windows in their columns.
  __device__ __forceinline__ void pool(uint32_t image, int32_t height,
                                       const float (&factor)[kWindows], int32_t single_row) const {
#pragma unroll 1
    for (int32_t row = 0; row + y[0] < height; row += kRows, image += kBytes) {
      Window<typename Traits::T> window[kWindows];
#pragma unroll
      for (int i = 0; i < kWindows; ++i) {
        // Behind the last row it is the first window again.
        const uint32_t from = image + (row + y[i] < height ? first[i] : first[0]);
        window[i].factor = factor[i] * (row + y[i] == single_row ? 2.0f : 1.0f);
#pragma unroll
        for (int pixel = 0; pixel < 4; ++pixel) {
          ptx::load_shared(window[i].word[pixel],
                           (pixel % 2 ? from ^ kNeighbour : from) + pixel / 2 * kRowBytes);
        }
      }
      ptx::sync_warp();  // or the first one's loads move behind the other's sums
#pragma unroll
      for (int i = 0; i < kWindows; ++i) {
        if (row + y[i] < height) ptx::store_shared(image + pooled[i], window[i].pooled());
      }
    }
  }
};

template <typename Traits>
__device__ __forceinline__ void pool_grad_tiles(const WeightGradSm90Params& p, const GradItem& item,
                                                GradMemory memory, int32_t thread) {
  using Turns = PoolTurns<Traits>;
  const WeightGradJob& job = p.job[item.index];
  const GradSm90Job& more = p.more[item.index];
  const Turns turns(thread);
  BufferRing& stages = memory.stages;
  for (int32_t tile = item.split; tile < job.pixel_tiles; tile += job.splits, stages.advance()) {
    const GradPlace at(job, more, tile);
    float factor[Turns::kWindows];
    for (int i = 0; i < Turns::kWindows; ++i) {
      factor[i] = at.x + turns.x[i] == more.single_column ? 0.5f : 0.25f;
      if (job.dy.sums) factor[i] = 1;
    }
    ptx::wait_barrier(stages.full(), stages.parity);
    uint32_t image = stages.buffer();
#pragma unroll 1
    for (int32_t i = 0; i < more.images; ++i, image += 2 * job.tile_height * Turns::kRowBytes) {
      turns.pool(image, job.tile_height, factor, more.single_row - at.y);
    }
    hand_over(memory.pooled(stages.index));
  }
}

// A helper's sums of 8 of kRows rows of dy from `row` on, with the others', as an item's part of
// the bias.
template <int kRows, typename T>
__device__ __forceinline__ void store_bias(const WeightGradParams& p, const WeightGradJob& job,
                                           int64_t item, int32_t row, const Pooled<T>& sum,
                                           uint32_t sums, int32_t thread) {
  constexpr int kLanes = kGradSm90Helpers * 8 / kRows;  // that share the pixels
  for (int half = 0; half < 2; ++half) {
    ptx::Word128 word;
    for (int i = 0; i < 4; ++i) word.word[i] = ptx::as_bits(sum.sum[4 * half + i]);
    ptx::store_shared(sums + thread * 32 + half * 16, word);
  }
  ptx::sync_named(kHelpersMeet, kGradSm90Helpers);
  for (int32_t i = thread; i < kRows && row + i < job.rows(); i += kGradSm90Helpers) {
    float of_row = 0;
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      uint32_t bits;
      ptx::load_shared(bits, sums + (lane * kRows + i) * 4);
      of_row += ptx::as_float(bits);
    }
    using Output = GradOutput<T>;
    float* behind = p.partial_sums + job.first_sum + (item + 1) * p.item_sums();
    const Output to = job.splits > 1 ? Output::of_partial(behind - p.tile_rows, {1, 0, 0})
                                     : Output::of_bias(p).from(job.first_row + row);
    to.store_if(true, to.at(i), of_row);
  }
}

// The sums of dy, the fixed operand, of the item's rows.
template <typename Traits>
__device__ __forceinline__ void sum_bias(const WeightGradSm90Params& p, const GradItem& item,
                                         GradMemory memory, int32_t thread) {
  using T = typename Traits::T;
  constexpr int kLanes = kGradSm90Helpers / Traits::kChunks;  // that share the pixels
  const WeightGradJob& job = p.job[item.index];
  const GradSm90Job& more = p.more[item.index];
  BufferRing& stages = memory.stages;
  const int32_t cells = GradSm90Cells{job.tile_height, more.images, false}.fixed();
  Pooled<T> sum(ptx::Word128{});
  for (int32_t tile = item.split; tile < job.pixel_tiles; tile += job.splits, stages.advance()) {
    ptx::wait_barrier(stages.full(), stages.parity);
    for (int32_t cell = thread / Traits::kChunks; cell < cells; cell += kLanes) {
      ptx::Word128 word;
      ptx::load_shared(word, stages.buffer() + chunk_at<Traits>(cell, thread % Traits::kChunks));
      sum.add(word);
    }
    hand_over(stages.empty());
  }
  store_bias<Traits::kTile>(p, job, item.item, item.row, sum, memory.sums, thread);
}

}  // namespace octconv::sm90
