// How a problem is cut into tiles for a GPU: candidates, their cost by the model of forward_cost.h,
// the cheapest of them. Plain C++.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/cache.h"
#include "plan/device_facts.h"
#include "plan/forward_cost.h"
#include "problem.h"
#include "setup/forward_1x1_sm80.h"
#include "setup/forward_sm80.h"

namespace octconv {

struct Plan {
  const char* kernel;  // its name
  const char* tiles;   // the name of an instantiation (traits/forward_sm80.h); null: none fits
  TileShape high, low;
  int64_t high_items, low_items;  // tiles times splits
  // In place of these two, of forward_1x1_sm80 (traits/forward_1x1_sm80.h). Otherwise there are no
  // items.
  JointShape joint;
  int64_t joint_items;
  int32_t blocks;                     // that stay on the device and take tiles in turns
  int32_t blocks_per_multiprocessor;  // that it has room for
  int32_t weight_stages, rotation;    // see ForwardParams
  int32_t shared_bytes;               // of a block
  int64_t partial_sums;               // floats of workspace, where tiles are split
  int64_t arrivals;                   // counters, likewise
  double microseconds;                // predicted: launch, and the longer of the next two
  double launch_us;  // two launches where tiles are split: one clears their counters
  double tiles_us;   // until the last block has done its tiles
  double memory_us;  // each input and output once through the device's memory
  // What the tiles would take if nothing but one unit took time, all multiprocessors alike.
  double mma_us, shared_us, l2_us;

  // The traffic with the device's memory is that of the problem, the same for all plans.
  bool cheaper_than(const Plan& other) const {
    return launch_us + tiles_us < other.launch_us + other.tiles_us;
  }
};

Plan plan_forward(const Problem& problem, ElementType type, const DeviceFacts& device);

// One line, such as "forward_sm80, wide tiles, high 14x9 quads, low 14x18 quads, 132 blocks; ...".
std::string to_string(const Plan& plan);

// All instantiations for a problem, and the parameters that a shape of their tiles would give, but
// for pointers.
std::vector<Instance> instances_for(const Problem& problem, ElementType type);
ForwardParams shape_params(const Problem& problem, const Instance& instance, const TileShape& high,
                           const TileShape& low, int32_t weight_stages);

using PlanCache = PlanCacheOf<plan_forward>;

// Bytes that a launch, or that of the weight gradient, reads and writes if what it reads twice
// comes from the second-level cache.
double memory_bytes(const Problem& problem, int32_t element_bytes);

}  // namespace octconv
