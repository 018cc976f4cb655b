// How a problem is cut for forward_1x1_sm90. Plain C++.
#pragma once

#include <string>

#include "plan/device_facts.h"
#include "plan/forward_sm90.h"
#include "problem.h"

namespace octconv {

// Of problems of 1x1 taps that why_not_sm90 lets pass.
PlanSm90 plan_1x1_sm90(const Problem& problem, const DeviceFacts& device, Trials trials);

// One line, such as "forward_1x1_sm90, 4x16 quads x 2 * 64 columns, 14 boxes, 2 slots that stay,
// 132 blocks".
std::string joint_text(const PlanSm90& plan);

}  // namespace octconv
