// What the tiles of forward_1x1_sm80 do and how long that takes, by the model of forward_cost.h,
// and the cheapest of them for a problem. Plain C++.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/device_facts.h"
#include "plan/forward_cost.h"
#include "plan/forward_sm80.h"
#include "problem.h"
#include "setup/forward_1x1_sm80.h"

namespace octconv {

// All instantiations for a problem that serves_1x1; and the parameters that a shape of their tiles
// would give, but for pointers.
std::vector<Forward1x1Limits> joint_instances_for(const Problem& problem, ElementType type);
Forward1x1Params joint_params(const Problem& problem, const Forward1x1Limits& limits,
                              const JointShape& shape);

// Of an item, on the average of all that have these columns.
TileCost joint_cost(const Forward1x1Limits& limits, const DeviceFacts& device,
                    const Forward1x1Params& params, int32_t column_tile);

// No tiles if there are none for the problem or the device.
Plan plan_1x1(const Problem& problem, ElementType type, const DeviceFacts& device);

}  // namespace octconv
