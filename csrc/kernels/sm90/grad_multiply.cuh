// What the multiplying warpgroups of weight_grad_sm90 do: products of 16 pixels, the fixed operand
// transposed on its way to registers, with three taps at once of the shifted one.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/products.cuh"
#include "grad_block.cuh"
#include "kernels/grad_output.cuh"

namespace octconv::sm90 {

constexpr int kShiftedRow = kGradSm90Width + 2;  // cells

// Where this lane's row of ldmatrix lies in the first step of a stage: matrices are 8 pixels of the
// upper row, and of the lower one, 8 channels each and the next 8.
template <typename Traits>
__device__ __forceinline__ uint32_t lane_offset(bool pools) {
  const int32_t lane = ptx::lane(), warp = ptx::thread_x() / 32 % 4;
  const int32_t pixel = lane % 8, lower = lane / 16, chunk = 2 * warp + lane / 8 % 2;
  const int32_t cell =
      pools ? lower * 4 * kGradSm90Width + 2 * pixel + pixel / 4 : lower * kGradSm90Width + pixel;
  return chunk_at<Traits>(cell, chunk % Traits::kChunks);
}

// Warps whose channels no tile has multiply zeros.
template <typename Traits>
__device__ __forceinline__ void load_fixed(uint32_t (&fixed)[4], uint32_t address) {
  if (Traits::kTile == 64 || ptx::thread_x() / 32 % 4 < Traits::kTile / 16) {
    ptx::load_matrix_transposed(fixed, address);
  } else {
    for (uint32_t& word : fixed) word = 0;
  }
}

// One stage.
template <typename Traits>
__device__ __forceinline__ void multiply_stage(float (&sum)[Traits::kSums], uint32_t fixed_at,
                                               uint32_t shifted_at, int32_t images,
                                               int32_t image_steps, int32_t step_cells) {
  constexpr uint32_t kUnits = Traits::kCell / 16;  // of descriptors
  uint64_t shifted = ptx::transposed_at<Traits::kCell>(shifted_at, Traits::kCell, kShiftedRow);
#pragma unroll 1
  for (int32_t image = 0; image < images; ++image, shifted += 2 * kShiftedRow * kUnits) {
#pragma unroll 1
    for (int32_t step = 0; step < image_steps; ++step, shifted += 2 * kShiftedRow * kUnits) {
      uint32_t fixed[4];
      load_fixed<Traits>(fixed, fixed_at);
      fixed_at += step_cells * Traits::kCell;
      ptx::fence_products();
      ptx::multiply_async<typename Traits::T, Traits::kColumns, true>(sum, fixed, shifted);
      ptx::commit_products();
      ptx::wait_products<0>();  // meanwhile the other warpgroups multiply
    }
  }
}

// A warpgroup's sums. `to`: what the tile's first channels and tap go to; of its rows and columns
// the former are channels of the fixed operand. `fixed` and `shifted`: how many channels of each
// there are.
template <typename Traits>
__device__ __forceinline__ void store_taps(const float (&sum)[Traits::kSums],
                                           const GradOutput<typename Traits::T>& to, int32_t fixed,
                                           int32_t shifted, int32_t tap, int32_t next_tap) {
  const int32_t first = ptx::thread_x() / 32 % 4 * 16 + ptx::lane() / 4;
  const int32_t column = ptx::lane() % 4 * 2;
  to.with_pairs([&](const auto& store_pair) {
#pragma unroll
    for (int t = 0; t < 3; ++t) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int32_t row = first + 8 * half;
        char* at = to.at(row, tap + t * next_tap, column);
#pragma unroll
        for (int n = 0; n < Traits::kTile / 8; ++n) {
          const float* two = sum + t * (Traits::kTile / 2) + 4 * n + 2 * half;
          store_pair(row < fixed && row < Traits::kTile && column + 8 * n < shifted, at, two[0],
                     two[1]);
          at += 8 * to.bytes.column;
        }
      }
    }
  });
}

// All of an item that is a warpgroup's: the row of taps of its number.
template <typename Traits>
__device__ __forceinline__ void multiply_grad(const WeightGradSm90Params& p, const GradItem& item,
                                              GradMemory memory, int32_t tap_row) {
  const WeightGradJob& job = p.job[item.index];
  const GradSm90Job& more = p.more[item.index];
  BufferRing& stages = memory.stages;
  const uint32_t lane = lane_offset<Traits>(more.pools);
  const uint32_t shifted = more.shifted_offset + tap_row * kShiftedRow * Traits::kCell;
  const int32_t image_steps = job.tile_height / 2, images = more.images;
  const int32_t step_cells = (more.pools ? 8 : 2) * kGradSm90Width;
  float sum[Traits::kSums];
#pragma unroll
  for (float& of_product : sum) of_product = 0;
#pragma unroll 1
  for (int32_t tile = item.split; tile < job.pixel_tiles; tile += job.splits) {
    ptx::wait_barrier(stages.full(), stages.parity);
    if (more.pools) ptx::wait_barrier(memory.pooled(stages.index), stages.parity);
    multiply_stage<Traits>(sum, stages.buffer() + lane, stages.buffer() + shifted, images,
                           image_steps, step_cells);
    hand_over(stages.empty());
    stages.advance();
  }

  // Where results go, or, of split tiles, what add_weight_grad_splits adds up.
  const bool turned = more.turned;
  const int32_t rows = job.rows() - item.row, columns = job.columns() - item.column;
  using Output = GradOutput<typename Traits::T>;
  Output to =
      job.splits > 1
          ? Output::of_partial(p.partial_sums + job.first_sum + item.item * p.item_sums(),
                               {9 * Traits::kTile, Traits::kTile, 1})
          : Output::of_weight(p).from(job.first_row + item.row, 0, job.first_column + item.column);
  if (turned) to.bytes = {to.bytes.column, to.bytes.tap, to.bytes.row};
  // Shifted dy meets x at the opposite tap.
  const int32_t tap = turned ? 8 - 3 * tap_row : 3 * tap_row, next_tap = turned ? -1 : 1;
  store_taps<Traits>(sum, to, turned ? columns : rows, turned ? rows : columns, tap, next_tap);
}

}  // namespace octconv::sm90
