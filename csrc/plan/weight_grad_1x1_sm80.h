// How a weight gradient is cut into tiles and splits for weight_grad_1x1_sm80, and how long that
// takes. Plain C++.
#pragma once

#include <vector>

#include "plan/cache.h"
#include "plan/device_facts.h"
#include "plan/weight_grad_cost.h"
#include "plan/weight_grad_sm80.h"
#include "problem.h"
#include "setup/weight_grad_1x1_sm80.h"

namespace octconv {

// Of no tiles where the kernel does not cover the problem, the type or the device.
WeightGradPlan plan_joint_grad(const Problem& problem, ElementType type, const DeviceFacts& device);

// All instantiations for a type.
std::vector<JointGradLimits> joint_grads_for(ElementType type);

// Parameters for counting only: nothing is read or written through them.
JointGradParams joint_grad_counts(const Problem& problem, const JointGradLimits& limits,
                                  const JointGradShape& shape);

// Of a turn: one tile of quads. Read bytes are those of the average turn.
PixelTileCost joint_tile_cost(const JointGradLimits& limits, const DeviceFacts& device,
                              const JointGradParams& params);

}  // namespace octconv
