// What the fourth warpgroup of weight_grad_sm90 does: one thread copies the pixel tiles, by tensor
// maps, and three warps pool them, or sum up dy. Channels and pixels that are not there are zeros.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>

#include "device/sm90/tensor_copy.cuh"
#include "grad_block.cuh"
#include "kernels/sm80/grad_sums.cuh"
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

// 16 bytes of the four pixels of a window in shared memory, whose rows of pixels lie kRow apart,
// to 16 bytes of their sum times `factor`.
template <typename T, int kRow>
__device__ __forceinline__ ptx::Word128 pool_window(uint32_t left, uint32_t right, float factor) {
  ptx::Word128 words[4];
  ptx::load_shared(words[0], left);
  ptx::load_shared(words[1], right);
  ptx::load_shared(words[2], left + kRow);
  ptx::load_shared(words[3], right + kRow);
  Pooled<T> top(words[0]), bottom(words[2]);
  top.add(words[1]), bottom.add(words[3]);
  for (int i = 0; i < Pooled<T>::kElements; ++i) top.sum[i] += bottom.sum[i];
  return top.rounded(factor);
}

// In place: of each window of a stage the pixel in the upper row whose line is another than that of
// its neighbours, so that ldmatrix meets no conflict.
template <typename Traits>
__device__ __forceinline__ void pool_grad_tiles(const WeightGradSm90Params& p, const GradItem& item,
                                                GradMemory memory, int32_t thread) {
  constexpr int32_t kRow = 2 * kGradSm90Width;  // cells
  const WeightGradJob& job = p.job[item.index];
  const GradSm90Job& more = p.more[item.index];
  BufferRing& stages = memory.stages;
  const int32_t units = kGradSm90Width * job.tile_height * Traits::kChunks;
  for (int32_t tile = item.split; tile < job.pixel_tiles; tile += job.splits, stages.advance()) {
    const GradPlace at(job, more, tile);
    ptx::wait_barrier(stages.full(), stages.parity);
    uint32_t image = stages.buffer();
#pragma unroll 1
    for (int32_t i = 0; i < more.images; ++i, image += 2 * job.tile_height * kRow * Traits::kCell) {
#pragma unroll 1
      for (int32_t unit = thread; unit < units; unit += kGradSm90Helpers) {
        const int32_t chunk = unit % Traits::kChunks, quad = unit / Traits::kChunks;
        const int32_t x = quad % kGradSm90Width, y = quad / kGradSm90Width;
        const int32_t cell = 2 * y * kRow + 2 * x;
        // Half of the cells to a line: every other window from the right, for no bank twice.
        const int32_t side = Traits::kCell == 64 ? x % 2 : 0;
        const float factor = (at.x + x == more.single_column ? 0.5f : 0.25f) *
                             (at.y + y == more.single_row ? 2.0f : 1.0f);
        const ptx::Word128 pooled = pool_window<typename Traits::T, kRow * Traits::kCell>(
            image + chunk_at<Traits>(cell + side, chunk),
            image + chunk_at<Traits>(cell + 1 - side, chunk), factor);
        ptx::store_shared(image + chunk_at<Traits>(cell + x / 4, chunk), pooled);
      }
    }
    ptx::fence_shared_writes();  // before the next copy to this stage
    arrive_once(memory.pooled(stages.index));
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
    const int32_t in_bias = job.first_row + row + i;
    if (job.splits > 1) {
      float* partial = p.partial_sums + job.first_sum + (item + 1) * p.item_sums();
      store_element(partial - p.tile_rows + i, of_row);
    } else if (p.wide_output) {
      store_element(static_cast<float*>(p.dbias) + in_bias, of_row);
    } else {
      store_element(static_cast<T*>(p.dbias) + in_bias, of_row);
    }
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
    arrive_once(stages.empty());
  }
  store_bias<Traits::kTile>(p, job, item.item, item.row, sum, memory.sums, thread);
}

}  // namespace octconv::sm90
