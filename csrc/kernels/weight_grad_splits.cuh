// Adds up what the blocks of split tiles of the weight gradient have left, in a fixed order. A
// launch of its own: the sums of a tile's splits can be more bytes than the last block to come,
// alone, is expected to read in good time.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "kernels/grad_output.cuh"
#include "launch_shape.h"
#include "params/weight_grad_sm80.h"

namespace octconv {

constexpr int kSplitThreads = 32 * kSplitWarps;
constexpr int kSplitSharedBytes = kSplitThreads * 16;

inline LaunchShape splits_shape(const WeightGradParams& p) {
  const int64_t positions = kSplitThreads >> p.split_bits;  // of a block
  const int64_t blocks = (p.positions + positions - 1) / positions;
  return {static_cast<uint32_t>(blocks), kSplitThreads, 1, kSplitSharedBytes};
}

// Four neighbouring columns of one row and tap of the weight, or four rows of the bias.
struct SplitPosition {
  bool bias;
  int32_t row, tap, column;  // of the job's block
  int64_t first_sum;         // of split 0

  __device__ __forceinline__ SplitPosition(const WeightGradParams& p, const WeightGradJob& job,
                                           int32_t position) {
    const int32_t of_tap = job.columns() / 4, of_row = p.taps * p.taps * of_tap;
    bias = position >= job.rows() * of_row;
    if (bias) position -= job.rows() * of_row;
    row = bias ? 4 * position : job.by_row_positions.quotient(position);
    const int32_t in_row = bias ? 0 : position - row * of_row;
    tap = job.by_tap_positions.quotient(in_row);
    column = 4 * (in_row - tap * of_tap);
    const int32_t of_rows = p.by_tile_rows.quotient(row), tile_row = row - of_rows * p.tile_rows;
    const int32_t of_columns = p.by_tile_columns.quotient(column);
    const int32_t tile_column = column - of_columns * p.tile_columns;
    const int32_t of_taps = p.by_tile_taps.quotient(tap), tile_tap = tap - of_taps * p.tile_taps;
    const int32_t rectangle = of_rows * job.column_tiles + of_columns;
    const int64_t item = int64_t{rectangle * job.tap_tiles + of_taps} * job.splits;
    const int32_t in_item =
        bias ? p.tile_rows * p.tile_taps * p.tile_columns + tile_row
             : (tile_row * p.tile_taps + tile_tap) * p.tile_columns + tile_column;
    first_sum = job.first_sum + item * p.item_sums() + in_item;
  }
};

template <typename T>
__device__ __forceinline__ void store_position(const WeightGradParams& p, const WeightGradJob& job,
                                               const SplitPosition& at, const float (&four)[4]) {
  using Output = GradOutput<T>;
  const int64_t row = job.first_row + at.row;
  const Output to = at.bias ? Output::of_bias(p).from(row)
                            : Output::of_weight(p).from(row, at.tap, job.first_column + at.column);
  to.with_pairs([&](const auto& store_pair) {
    store_pair(true, to.first, four[0], four[1]);
    store_pair(true, to.at(0, 0, 2), four[2], four[3]);
  });
}

template <typename T>
__global__ void __launch_bounds__(kSplitThreads)
    add_weight_grad_splits(const __grid_constant__ WeightGradParams p) {
  ptx::SharedMemory shared;
  const uint32_t sums = shared.take(kSplitSharedBytes);
  const int32_t warp = ptx::thread_x() / 32;
  const int32_t group = warp >> p.split_bits, share = warp - (group << p.split_bits);
  const int32_t groups = kSplitWarps >> p.split_bits;
  const int64_t position = (int64_t{ptx::block_x()} * groups + group) * 32 + ptx::lane();
  const bool inside = position < p.positions;
  int index = 0;
  while (index + 1 < kJobs && position >= p.job[index + 1].first_position) ++index;
  const WeightGradJob& job = p.job[index];
  const SplitPosition at(p, job, inside ? static_cast<int32_t>(position - job.first_position) : 0);
  float four[4] = {};
  const int32_t end = inside ? job.splits * (share + 1) >> p.split_bits : 0;
#pragma unroll 4
  for (int32_t split = job.splits * share >> p.split_bits; split < end; ++split) {
    ptx::Word128 word;
    ptx::load_global(word, p.partial_sums + at.first_sum + split * p.item_sums());
    for (int i = 0; i < 4; ++i) four[i] += ptx::as_float(word.word[i]);
  }
  ptx::Word128 of_warp;
  for (int i = 0; i < 4; ++i) of_warp.word[i] = ptx::as_bits(four[i]);
  ptx::store_shared(sums + ptx::thread_x() * 16, of_warp);
  ptx::sync_block();
  if (share > 0 || !inside) return;
  for (int other = 1; other < 1 << p.split_bits; ++other) {
    ptx::Word128 word;
    ptx::load_shared(word, sums + (ptx::thread_x() + other * 32) * 16);
    for (int i = 0; i < 4; ++i) four[i] += ptx::as_float(word.word[i]);
  }
  store_position<T>(p, job, at, four);
}

}  // namespace octconv
