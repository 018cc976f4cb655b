// How a weight gradient is cut into tiles and splits for a GPU: candidates, their cost by the model
// of weight_grad_cost.h, the cheapest of them. Plain C++.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/device_facts.h"
#include "plan/forward_sm80.h"
#include "setup/weight_grad_sm80.h"

namespace octconv {

struct WeightGradPlan {
  bool joint;         // weight_grad_1x1_sm80, where a pixel tile is (quads, stages, splits)
  const char* tiles;  // the name of an instantiation (traits/weight_grad_sm80.h); null: none fits
  PixelTiles pixel_tiles;
  int64_t items[kJobs];  // blocks of each job: tiles times splits
  int64_t partial_sums;  // floats of workspace, where tiles are split
  int32_t shared_bytes;  // of a block
  double microseconds;   // predicted: launches, and the longer of tiles and memory, and splits
  double launch_us;      // two launches where tiles are split: one adds up their sums
  double tiles_us;       // until the last block has done its item
  double splits_us;      // to add them up
  double memory_us;      // each input and output once through the device's memory
  // What the tiles would take if nothing but one unit took time, all multiprocessors alike.
  double mma_us, shared_us, l2_us;

  bool cheaper_than(const WeightGradPlan& other) const {
    return launch_us + tiles_us + splits_us < other.launch_us + other.tiles_us + other.splits_us;
  }
};

// Bytes of partial sums to a multiprocessor, at most: one tile's, with those of dy.
constexpr int64_t kMostPartialBytes = 148480;

// The problem is that of the operator forward.
WeightGradPlan plan_weight_grad(const Problem& problem, ElementType type,
                                const DeviceFacts& device);

// One line, as of a Plan.
std::string to_string(const WeightGradPlan& plan);

// All instantiations for a kernel size and type.
std::vector<WeightGradLimits> weight_grads_for(const Problem& problem, ElementType type);

using WeightGradPlanCache = PlanCacheOf<plan_weight_grad>;

}  // namespace octconv
