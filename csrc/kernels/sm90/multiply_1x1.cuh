// The products of forward_1x1_sm90: of 64 quads, the four phases and the low pixels, with 32 or 64
// columns of each octave. Each box is multiplied with the weight to both octaves. The sums to the
// low output of all phases are one sum: tensor cores pool.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block_1x1.cuh"
#include "device/sm90/products.cuh"
#include "multiply.cuh"

namespace octconv::sm90 {

template <typename Traits>
using JointSums = float[kPlanes][Traits::kColumns / 2];

// The weight to both octaves, and the distances of its steps and of the octaves, in 16ths of bytes.
template <typename Traits>
__device__ __forceinline__ uint64_t weight_of(uint32_t slot) {
  if constexpr (Traits::kTransposed) {
    return ptx::transposed_at<2 * Traits::kColumns>(slot, Traits::kPart);
  }
  return ptx::matrix_at(slot, 8);
}
template <typename Traits>
constexpr int kWeightStepUnits = Traits::kTransposed ? 16 * 2 * Traits::kColumns / 16 : kStepUnits;
template <typename Traits>
constexpr int kLowWeight = Traits::kPart / 16;

template <typename Traits, int kSteps, bool kToLow, int kPhase>
__device__ __forceinline__ void multiply_box(JointSums<Traits>& sum, uint64_t input,
                                             uint32_t slot) {
  using T = typename Traits::T;
  const uint64_t weight = weight_of<Traits>(slot);
  ptx::fence_products();
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const uint64_t from = input + step * kStepUnits, by = weight + step * kWeightStepUnits<Traits>;
    ptx::multiply_async<T, Traits::kColumns, Traits::kTransposed>(sum[kPhase], from, by);
    if constexpr (kToLow) {
      ptx::multiply_async<T, Traits::kColumns, Traits::kTransposed>(sum[kLowPlane], from,
                                                                    by + kLowWeight<Traits>);
    }
  }
  ptx::commit_products();
}

// One chunk of the low input, to the sums of the last phase, or of the high one. The next box's
// products are under way before the last one is given back.
template <typename Traits, int kSteps, bool kToLow, Octave kFrom>
__device__ __forceinline__ void multiply_boxes(JointSums<Traits>& sum, BufferRing& boxes,
                                               uint32_t slot, int32_t row_group) {
  uint32_t last = 0;
  const auto begin = [&] {
    ptx::wait_barrier(boxes.full(), boxes.parity);
    return ptx::matrix_at(boxes.buffer() + row_group * Traits::kGroupBox, 8);
  };
  const auto end = [&](bool first) {
    if (!first) {
      ptx::wait_products<1>();
      release(last);
    }
    last = boxes.empty();
    boxes.advance();
  };
  if constexpr (kFrom == kHigh) {
    multiply_box<Traits, kSteps, kToLow, 0>(sum, begin(), slot), end(true);
    multiply_box<Traits, kSteps, kToLow, 1>(sum, begin(), slot), end(false);
    multiply_box<Traits, kSteps, kToLow, 2>(sum, begin(), slot), end(false);
  }
  multiply_box<Traits, kSteps, kToLow, kLastPhase>(sum, begin(), slot), end(kFrom == kLow);
  ptx::wait_products<0>();
  release(last);
}

// Tells all blocks that load the slot.
__device__ __forceinline__ void release_slot(const JointSm90Params& p, uint32_t barrier) {
  if (p.sharers == 1) return release(barrier);
  if (ptx::lane() < kSharers) ptx::arrive_at(barrier, ptx::lane());
}

template <typename Traits, Octave kFrom>
__device__ __forceinline__ void multiply_input(const JointSm90Params& p, JointSums<Traits>& sum,
                                               BufferRing& boxes, BufferRing& slots,
                                               int32_t row_group, int32_t column_group) {
  const ChunkRange& chunks = own_chunks(p.chunks);
#pragma unroll 1
  for (int32_t chunk = chunks.begin[kFrom]; chunk < chunks.end[kFrom]; ++chunk) {
    ptx::wait_barrier(slots.full(), slots.parity);
    const uint32_t slot = slots.buffer() + column_group * 2 * Traits::kPart;
    with_steps(p.channels_in[kFrom], chunk, [&](auto steps) {
      constexpr int kSteps = decltype(steps)::value;
      if (p.channels_out[kLow] > 0) {
        multiply_boxes<Traits, kSteps, true, kFrom>(sum, boxes, slot, row_group);
      } else {
        multiply_boxes<Traits, kSteps, false, kFrom>(sum, boxes, slot, row_group);
      }
    });
    if (!p.weights_stay) release_slot(p, slots.empty());
    slots.advance();
  }
}

}  // namespace octconv::sm90
