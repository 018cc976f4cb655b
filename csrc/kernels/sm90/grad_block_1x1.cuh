// What all warps of a block of weight_grad_1x1_sm90 agree on: its item, its boxes of quads, and the
// stages that go round between the threads that load and those that multiply.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "grad_block.cuh"
#include "kernels/grad_item.cuh"
#include "params/weight_grad_1x1_sm90.h"
#include "traits/weight_grad_1x1_sm90.h"

namespace octconv::sm90 {

// A tile of all jobs, and every `splits`th box from `split` on.
template <typename Traits>
struct JointGradItem : octconv::JointGradItem {
  int32_t row, column;  // of each octave

  __device__ __forceinline__ explicit JointGradItem(const JointGradSm90Params& p)
      : octconv::JointGradItem(p),
        row(tile_row * Traits::kRows),
        column(tile_column * Traits::kColumns) {}
  // How many of its warpgroups that multiply have channels of x.
  __device__ __forceinline__ int32_t multipliers(const JointGradSm90Params& p) const {
    const int32_t high = p.job[kHighToHigh].columns(), low = p.job[kLowToHigh].columns();
    const int32_t columns = (high > low ? high : low) - column;
    return columns > Traits::kColumns / kJointGradMultipliers ? kJointGradMultipliers : 1;
  }
};

template <typename Traits>
struct JointGradMemory {
  BufferRing stages;
  uint32_t sums;  // of dy, from helpers

  __device__ __forceinline__ explicit JointGradMemory(uint32_t memory) {
    sums = memory + Traits::kStages * Traits::kStage;
    stages = {memory, sums + 2 * Traits::kHelperSums, Traits::kStages, Traits::kStage};
  }
};

// Where a box begins. Behind the last image there are zeros.
struct BoxPlace {
  int32_t x, y, image;

  __device__ __forceinline__ BoxPlace(const JointGradSm90Params& p, int32_t box) {
    const int32_t row = box / p.across;
    x = (box - row * p.across) * p.box.width;
    y = row % p.down * p.box.height;
    image = row / p.down * p.box.images;
  }
};

}  // namespace octconv::sm90
