// What both kinds of tiles of forward_sm90 multiply a chunk with: its steps, the weight in its
// slot.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "device/sm90/products.cuh"

namespace octconv::sm90 {

constexpr int kStepBytes = 32;
constexpr int kCellUnits = kSm90Cell / 16, kStepUnits = kStepBytes / 16;  // of descriptors

__device__ __forceinline__ void release(uint32_t barrier) {
  if (ptx::lane() == 0) ptx::arrive(barrier);
}

// Calls run(Steps<n>()) with the steps of a chunk: loops with products under way would be broken
// up.
template <typename Run>
__device__ __forceinline__ void with_steps(int32_t channels, int32_t chunk, const Run& run) {
  if (steps_of_chunk(channels, chunk) == kMostSteps) {
    run(Steps<kMostSteps>());
  } else {
    run(Steps<kMostSteps / 2>());
  }
}

// The weight in a slot; rows of taps lie a slot apart.
template <typename Traits>
__device__ __forceinline__ uint64_t weight_at(const Memory& memory, int32_t stage) {
  if constexpr (Traits::kInputGrad) {
    return ptx::transposed_at<2 * Traits::kColumnsOfCopy>(memory.slot(stage), Traits::kCopy);
  } else {
    return ptx::matrix_at(memory.slot(stage), 8);
  }
}

}  // namespace octconv::sm90
