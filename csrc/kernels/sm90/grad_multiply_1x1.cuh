// What the multiplying warpgroups of weight_grad_1x1_sm90 do: products of 16 quads, x transposed on
// its way to registers, with dy as it lies in shared memory. Two warps have 32 channels of the high
// x, phase by phase, and two as many of the low x, whose products with the four phases of dy are
// one sum: tensor cores pool dy. For the low dy the phases are pooled in registers; four times the
// low x, too, is itself again.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/products.cuh"
#include "grad_block_1x1.cuh"
#include "kernels/grad_output.cuh"
#include "kernels/window.cuh"

namespace octconv::sm90 {

constexpr int kStepQuads = 16;
constexpr uint32_t kGradStepBytes = kStepQuads * kSm90Cell;

// With the dy of an octave, of each group.
template <typename Traits>
using JointGradSums = float[2][Traits::kGroups][Traits::kSums];

// 16 channels of a warp and 16 quads, of each phase and pooled.
using QuadFragments = uint32_t[kPlanes][4];

// A lane's channels are of this octave of x.
__device__ __forceinline__ Octave octave_of_warp() {
  return ptx::thread_x() / 32 % 4 < 2 ? kHigh : kLow;
}

// Where this lane's row of ldmatrix lies in a stage, in the first step and the warpgroup's first
// group: matrices are 8 quads, 8 channels each and the next 8. Groups are half a cell.
template <typename Traits>
__device__ __forceinline__ uint32_t lane_of_x(int32_t warpgroup) {
  const int32_t lane = ptx::lane(), quad = lane / 16 * 8 + lane % 8;
  const int32_t group = warpgroup * Traits::kGroups;
  const int32_t chunk = group % 2 * 4 + ptx::thread_x() / 32 % 2 * 2 + lane / 8 % 2;
  const int32_t plane = octave_of_warp() == kHigh ? 0 : kLowPlane;
  return Traits::kXOffset + (plane * Traits::kColumnCells + group / 2) * kPlaneBytes +
         chunk_at<Traits>(quad, chunk);
}

// One over the pixels of the quads that a lane has in a step: words 0 and 1 of a fragment are of
// two quads, 2 and 3 of two others.
__device__ __forceinline__ void find_shares(float (&shares)[4], const JointGradSm90Params& p,
                                            const BoxPlace& at, int32_t first_quad) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int32_t quad = first_quad + i / 2 * 8 + ptx::lane() % 4 * 2 + i % 2;
    const int32_t x = at.x + (quad & (p.box.width - 1));
    const int32_t y = at.y + (quad >> p.width_bits & (p.box.height - 1));
    shares[i] = share(p.height - 2 * y, p.width - 2 * x);
  }
}

template <typename T>
__device__ __forceinline__ void pool_phases(QuadFragments& x, const float (&shares)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float mean[2] = {};
#pragma unroll
    for (int phase = 0; phase < 4; ++phase) {
      T pair[2];
      memcpy(pair, &x[phase][i], 4);
      for (int j = 0; j < 2; ++j) mean[j] += ptx::widen(pair[j]) * shares[i / 2 * 2 + j];
    }
    x[kLowPlane][i] = ptx::narrow_pair<T>(mean[0], mean[1]);
  }
}

// One step. `x`: of the lane; the phases lie x_step bytes apart, or are all the low pixels.
template <typename Traits>
__device__ __forceinline__ void multiply_step(JointGradSums<Traits>& sum, uint32_t dy, uint32_t x,
                                              uint32_t x_step, const float (&shares)[4]) {
  using T = typename Traits::T;
  QuadFragments fragments[Traits::kGroups];
#pragma unroll
  for (int group = 0; group < Traits::kGroups; ++group) {
#pragma unroll
    for (int phase = 0; phase < 4; ++phase) {
      ptx::load_matrix_transposed(fragments[group][phase],
                                  (x + phase * x_step) ^ group * (kSm90Cell / 2));
    }
    pool_phases<T>(fragments[group], shares);
  }
  constexpr uint32_t kUnits = Traits::kRowCells * kPlaneBytes / 16;  // of descriptors
  const uint64_t rows = ptx::transposed_at<Traits::kCell>(dy, kPlaneBytes);
  ptx::fence_products();
#pragma unroll
  for (int plane = 0; plane < kPlanes; ++plane) {
#pragma unroll
    for (int group = 0; group < Traits::kGroups; ++group) {
      ptx::multiply_async<T, Traits::kRows, true>(sum[plane / kLowPlane][group],
                                                  fragments[group][plane], rows + plane * kUnits);
    }
  }
  ptx::commit_products();
  ptx::wait_products<0>();  // meanwhile the other warpgroup multiplies
}

// A group's sums of one block of the weight, whose columns lie beside each other: results, or, of
// split tiles, what add_weight_grad_splits adds up. `column`: the group's first one, of the tile.
template <typename Traits>
__device__ __forceinline__ void store_job(const JointGradSm90Params& p, const WeightGradJob& job,
                                          const JointGradItem<Traits>& item,
                                          const float (&sum)[Traits::kSums], int32_t column) {
  const int32_t rows = job.rows() - item.row, columns = job.columns() - item.column - column;
  using Output = GradOutput<typename Traits::T>;
  const Output of_tile =
      p.splits > 1
          ? Output::of_partial(p.partial_sums + job.first_sum + item.of_job(job) * p.item_sums(),
                               {Traits::kColumns, 0, 1})
          : Output::of_weight(p).from(job.first_row + item.row, 0, job.first_column + item.column);
  const int32_t of_lane = ptx::thread_x() / 32 % 2 * 16 + ptx::lane() / 4;
  const Output to = of_tile.from(ptx::lane() % 4 * 2, 0, column + of_lane);
#pragma unroll
  for (int i = 0; i < Traits::kSums; i += 4) {  // rows come in eights
    if (2 * i >= rows) return;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const bool inside = of_lane + 8 * half < columns;
      to.store_if(inside, to.at(2 * i, 0, 8 * half), sum[i + 2 * half]);
      to.store_if(inside, to.at(2 * i + 1, 0, 8 * half), sum[i + 2 * half + 1]);
    }
  }
}

// All of an item that is a warpgroup's.
template <typename Traits>
__device__ __forceinline__ void multiply_joint_grad(const JointGradSm90Params& p,
                                                    const JointGradItem<Traits>& item,
                                                    BufferRing stages, int32_t warpgroup) {
  const Octave octave = octave_of_warp();
  const uint32_t x = lane_of_x<Traits>(warpgroup);
  const uint32_t x_step = octave == kHigh ? Traits::kColumnCells * kPlaneBytes : 0;
  const bool uneven = octave == kHigh && (p.height | p.width) % 2 == 1;
  JointGradSums<Traits> sum;
#pragma unroll
  for (int i = 0; i < 2 * Traits::kGroups * Traits::kSums; ++i) {
    sum[i / Traits::kSums / Traits::kGroups][i / Traits::kSums % Traits::kGroups]
       [i % Traits::kSums] = 0;
  }
#pragma unroll 1
  for (int32_t box = item.split; box < p.boxes; box += p.splits) {
    ptx::wait_barrier(stages.full(), stages.parity);
#pragma unroll 1
    for (int32_t step = 0; step < kJointGradQuads / kStepQuads; ++step) {
      float shares[4] = {0.25f, 0.25f, 0.25f, 0.25f};
      if (uneven) find_shares(shares, p, BoxPlace(p, box), step * kStepQuads);
      const uint32_t begin = stages.buffer() + step * kGradStepBytes;
      multiply_step<Traits>(sum, begin, begin + x, x_step, shares);
    }
    hand_over(stages.empty());
    stages.advance();
  }
#pragma unroll
  for (int of_dy = 0; of_dy < 2; ++of_dy) {
#pragma unroll
    for (int group = 0; group < Traits::kGroups; ++group) {
      store_job<Traits>(p, p.job[2 * of_dy + octave], item, sum[of_dy][group],
                        (warpgroup * Traits::kGroups + group) * kJointGradGroup);
    }
  }
}

}  // namespace octconv::sm90
