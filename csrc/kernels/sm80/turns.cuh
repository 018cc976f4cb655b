// How the warps that load and those that multiply meet. A turn is one row of taps of a chunk: the
// loaders are some turns ahead, as many as there are stages of shared memory for the weight's rows.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "params/forward_sm80.h"
#include "traits/forward_sm80.h"

namespace octconv {

// Barriers: 1 and 2 are met by one kind of warps alone, those of the stages by both.
enum Barrier : uint32_t { kMultipliers = 1, kLoaders, kFull, kFree = kFull + kMostWeightStages };

template <typename Traits>
__device__ __forceinline__ void sync_multipliers() {
  ptx::sync_named(kMultipliers, Traits::kMultiplierThreads);
}
template <typename Traits>
__device__ __forceinline__ void sync_loaders() {
  ptx::sync_named(kLoaders, Traits::kLoaderThreads);
}

// The stages in their turns, as each kind of warps counts them for itself.
template <typename Traits>
struct Turns {
  uint32_t rows;  // the first stage
  int32_t row_bytes, stages, stage = 0;

  __device__ __forceinline__ uint32_t row() const { return rows + stage * row_bytes; }
  __device__ __forceinline__ void advance() { stage = stage + 1 == stages ? 0 : stage + 1; }

  // The loaders' side.
  __device__ __forceinline__ void wait_until_free() const {
    ptx::sync_named(kFree + stage, Traits::kThreads);
  }
  __device__ __forceinline__ void say_full(int32_t of_stage) const {
    ptx::arrive_named(kFull + of_stage, Traits::kThreads);
  }
  // The multipliers' side.
  __device__ __forceinline__ void wait_until_full() const {
    ptx::sync_named(kFull + stage, Traits::kThreads);
  }
  __device__ __forceinline__ void say_free() const {
    ptx::arrive_named(kFree + stage, Traits::kThreads);
  }
};

}  // namespace octconv
