// Which items the blocks of the weight gradient kernels have.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "params/weight_grad_1x1_sm80.h"
#include "params/weight_grad_sm80.h"

namespace octconv {

// The job that an item belongs to.
__device__ __forceinline__ int job_of(const WeightGradParams& p, int64_t item) {
  int job = 0;
  while (job + 1 < kJobs && item >= p.job[job + 1].first_item) ++job;
  return job;
}

// Of kernels of one tap: the same tile and split of all jobs.
struct JointGradItem {
  int32_t tile_row, tile_column, split;

  __device__ __forceinline__ explicit JointGradItem(const JointGradTiles& p) {
    const auto block = static_cast<int32_t>(ptx::block_x());
    const int32_t tile = block / p.splits;
    split = block - tile * p.splits;
    tile_row = tile / p.tiles_across, tile_column = tile - tile_row * p.tiles_across;
  }
  // Among the items of one job.
  __device__ __forceinline__ int64_t of_job(const WeightGradJob& job) const {
    return int64_t{tile_row * job.column_tiles + tile_column} * job.splits + split;
  }
};

}  // namespace octconv
