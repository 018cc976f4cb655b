// What the tiles of the weight gradient do, counted from the loops of its kernel, and how long that
// takes by the model of forward_cost.h, not fitted to measurements. Plain C++.
#pragma once

#include <cstdint>

#include "params/weight_grad_sm80.h"
#include "plan/device_facts.h"
#include "traits/weight_grad_sm80.h"

namespace octconv {

// Of one pixel tile of a job, in which a block multiplies it and loads the next. Instructions count
// once for a warp.
struct PixelTileCost {
  int64_t hmma, ldmatrix, word_loads, copies;
  int64_t fill_wavefronts;
  double read_bytes;  // of the second-level cache, on the average
  // Clocks: of each unit, were the others endless; from barrier to barrier.
  double mma_clocks, shared_clocks, l2_clocks, clocks;
};

PixelTileCost pixel_tile_cost(const WeightGradLimits& limits, const DeviceFacts& device,
                              const WeightGradParams& params, const WeightGradJob& job);

// Clocks of an item beside its pixel tiles: until the first has come, and from the last one on.
double item_overhead(const WeightGradLimits& limits, const DeviceFacts& device,
                     const PixelTileCost& cost, bool split);

// Clocks of the launch that adds up the splits, without its beginning and end; 0 if there is none.
double splits_clocks(const DeviceFacts& device, const WeightGradParams& params);

}  // namespace octconv
