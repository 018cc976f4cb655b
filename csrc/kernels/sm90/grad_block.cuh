// What all warps of a block of weight_grad_sm90 agree on: its item, and the stages that go round
// between those that load and those that multiply.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "kernels/grad_item.cuh"
#include "params/weight_grad_sm90.h"
#include "ring.cuh"
#include "traits/weight_grad_sm90.h"

namespace octconv::sm90 {

constexpr int kGradMultiplierWarps = 4 * kGradSm90Multipliers;
constexpr int kGradHelperWarps = kGradSm90Helpers / 32;

// A tile of one job, and every `splits`th of its pixel tiles from `split` on.
struct GradItem {
  int index;  // of the job
  int32_t item, split, row, column;

  template <typename Traits>
  static __device__ __forceinline__ GradItem of(const WeightGradSm90Params& p) {
    const int64_t block = ptx::block_x();
    GradItem at{};
    at.index = job_of(p, block);
    const WeightGradJob& job = p.job[at.index];
    at.item = static_cast<int32_t>(block - job.first_item);
    const int32_t tile = at.item / job.splits, row_tile = tile / job.column_tiles;
    at.split = at.item - tile * job.splits;
    at.row = row_tile * Traits::kTile;
    at.column = (tile - row_tile * job.column_tiles) * Traits::kTile;
    return at;
  }
};

// Helpers pool a stage, and say so, or sum up its dy, and give it back: then it counts them, too.
struct GradMemory {
  BufferRing stages;
  uint32_t pooled_barriers, sums;

  __device__ __forceinline__ GradMemory(uint32_t memory, const GradSm90Job& more) {
    const uint32_t barriers = memory + more.stages * more.stage_bytes;
    stages = {memory, barriers, more.stages, more.stage_bytes};
    pooled_barriers = barriers + kGradSm90MostStages * 2 * ptx::kBarrierBytes;
    sums = pooled_barriers + kGradSm90MostStages * ptx::kBarrierBytes;
  }
  __device__ __forceinline__ uint32_t pooled(int32_t stage) const {
    return pooled_barriers + stage * ptx::kBarrierBytes;
  }
  // By one thread; the block's barrier must follow.
  __device__ __forceinline__ void init_barriers(bool with_bias) const {
    stages.init(kGradMultiplierWarps + (with_bias ? kGradHelperWarps : 0));
    for (int i = 0; i < stages.buffers; ++i) ptx::init_barrier(pooled(i), kGradHelperWarps);
    ptx::fence_barriers();
  }
};

// Where a pixel tile begins.
struct GradPlace {
  int32_t x, y, image;

  __device__ __forceinline__ GradPlace(const WeightGradJob& job, const GradSm90Job& more,
                                       int32_t pixel_tile) {
    const int32_t row = pixel_tile / job.tiles_across;
    x = (pixel_tile - row * job.tiles_across) * kGradSm90Width;
    y = row % more.tiles_down * job.tile_height;
    image = row / more.tiles_down * more.images;
  }
};

// Where the swizzle puts 16 bytes of a cell, from a stage's begin.
template <typename Traits>
__device__ __forceinline__ uint32_t chunk_at(int32_t cell, int32_t chunk) {
  const int32_t line = Traits::kCell == 128 ? cell : cell / 2;
  return cell * Traits::kCell + (chunk ^ line % Traits::kChunks) * 16;
}

}  // namespace octconv::sm90
