// The fused weight gradient for kernels of one tap at stride 1: a block does the same tile of all
// four blocks of the weight, and so reads each pixel once.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "kernels/grad_item.cuh"
#include "params/weight_grad_1x1_sm80.h"
#include "sm80/grad_copies_1x1.cuh"
#include "sm80/grad_products_1x1.cuh"
#include "sm80/grad_sums.cuh"
#include "sm80/wait_copies.cuh"
#include "traits/weight_grad_1x1_sm80.h"

namespace octconv {

template <typename Traits>
__device__ __forceinline__ void load_quads(const JointGradParams& p, const JointGradItem& item,
                                           int32_t tile, uint32_t stage) {
  const int32_t quad = tile * Traits::kQuads;
  const QuadCopier<Traits, Traits::kRows> dy(item.tile_row * Traits::kRows);
  dy.copy_high(p, p.dy(false), quad, stage);
  dy.copy_low(p, p.dy(true), quad, stage + Traits::kDyLow);
  const QuadCopier<Traits, Traits::kColumns> x(item.tile_column * Traits::kColumns);
  x.copy_high(p, p.x(false), quad, stage + Traits::kXHigh);
  x.copy_low(p, p.x(true), quad, stage + Traits::kXLow);
}

// The results of one job, or, of split tiles, what add_weight_grad_splits adds up. With one tap
// columns of the weight lie beside each other.
template <typename Traits>
struct JobOutput {
  using Output = GradOutput<typename Traits::T>;
  const JointGradParams& p;
  const WeightGradJob& job;
  const JointGradItem& item;

  __device__ __forceinline__ float* partial() const {
    return p.partial_sums + job.first_sum + item.of_job(job) * p.item_sums();
  }
  // A warp's sums of one block of the weight, as of store_sums.
  __device__ __forceinline__ void store(
      const float (&sum)[Traits::kTilesM][Traits::kTilesN][4]) const {
    const int32_t row = item.tile_row * Traits::kRows;
    const int32_t column = item.tile_column * Traits::kColumns;
    const int32_t rows = job.rows() - row, columns = job.columns() - column;
    const Output to =
        p.splits > 1 ? Output::of_partial(partial(), {Traits::kColumns, 0, 1})
                     : Output::of_weight(p).from(job.first_row + row, 0, job.first_column + column);
    const int32_t warp = ptx::thread_x() / 32;
    const int32_t first_row =
        warp / Traits::kWarpsN % Traits::kWarpsM * 16 * Traits::kTilesM + ptx::lane() / 4;
    const int32_t first_column = warp % Traits::kWarpsN * 8 * Traits::kTilesN + ptx::lane() % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2 * Traits::kTilesM; ++i) {  // rows of eight
      const int32_t of_lane = first_row + 8 * i;
      char* of_row = to.at(of_lane, 0, first_column);
#pragma unroll
      for (int n = 0; n < Traits::kTilesN; ++n) {
        const float* two = sum[i / 2][n] + i % 2 * 2;
        to.store_beside(of_lane < rows && first_column + 8 * n < columns,
                        of_row + 8 * n * to.bytes.column, two[0], two[1]);
      }
    }
  }
  // The sum of dy of row `thread` of the tile.
  __device__ __forceinline__ void store_bias(float of_row) const {
    const int32_t row = ptx::thread_x(), in_job = item.tile_row * Traits::kRows + row;
    const Output to =
        p.splits > 1 ? Output::of_partial(partial() + Traits::kRows * Traits::kColumns, {1, 0, 0})
                     : Output::of_bias(p).from(job.first_row + item.tile_row * Traits::kRows);
    to.store_if(row < Traits::kRows && in_job < job.rows(), to.at(row), of_row);
  }
};

template <typename Traits>
__global__ void __launch_bounds__(Traits::kThreads, 1)
    weight_grad_1x1_sm80(const __grid_constant__ JointGradParams p) {
  using T = typename Traits::T;
  ptx::SharedMemory shared;
  const uint32_t memory = shared.take(p.shared_bytes),
                 end = memory + p.stages * Traits::kStageBytes;
  const JointGradItem item(p);
  // Told by a shuffle, the compiler knows that lanes do not part here.
  const auto warp = static_cast<int32_t>(ptx::shuffle(ptx::thread_x() / 32, 0));
  const int32_t warp_n = warp % Traits::kWarpsN, warp_m = warp / Traits::kWarpsN % Traits::kWarpsM;
  const int32_t group = warp / (Traits::kWarpsN * Traits::kWarpsM);
  const bool of_bias = p.job[kHighToHigh].bias && item.tile_column == 0;
  const LaneQuads<Traits> lane(warp_m, warp_n);
  const QuadWeights<T> ones(1.0f), quarters(0.25f);

  GradSums<Traits> sum{};
  BiasSums<Traits> bias[2] = {};

  // All splits sweep over the images side by side, and so do all tiles: what one reads another
  // finds in the second-level cache. A turn multiplies one tile of quads and loads another, as many
  // turns ahead as there are stages but one; those before the first one only load.
  const int32_t ahead = (p.stages - 1) * p.splits;
  uint32_t stage = memory;
#pragma unroll 1
  for (int32_t tile = item.split - ahead; tile < p.quad_tiles; tile += p.splits) {
    if (tile >= 0) {
      wait_copies_but(p.stages - 2);
      ptx::sync_block();  // it has landed, and all have left the stage that is filled next
    }
    // The stages go around, so the one before is the one to be filled.
    const uint32_t filled = (stage == memory ? end : stage) - Traits::kStageBytes;
    if (tile + ahead < p.quad_tiles) load_quads<Traits>(p, item, tile + ahead, filled);
    ptx::commit_copies();
    if (tile >= 0) {
#pragma unroll 1
      for (int32_t step = group; step < Traits::kQuads / Traits::kStepQuads;
           step += Traits::kGroups) {
        multiply_quads<Traits>(sum, bias, of_bias && warp_n == 0, p, ones, quarters,
                               tile * Traits::kQuads + step * Traits::kStepQuads, stage + lane.rows,
                               stage + lane.columns, step);
      }
    }
    stage = stage + Traits::kStageBytes == end ? memory : stage + Traits::kStageBytes;
  }

  if (of_bias) {
    for (int part = 0; part < 2; ++part) {
      const float of_row = add_bias<Traits>(bias[part], memory);
      JobOutput<Traits>{p, p.job[part == 0 ? kHighToHigh : kHighToLow], item}.store_bias(of_row);
    }
  }
  add_groups<Traits>(sum, group, memory);
  if (group > 0) return;
#pragma unroll
  for (int part = 0; part < 4; ++part) {
    JobOutput<Traits>{p, p.job[part], item}.store(sum[part / 2][part % 2]);
  }
}

}  // namespace octconv
