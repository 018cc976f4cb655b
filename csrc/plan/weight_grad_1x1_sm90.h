// How a weight gradient is cut up for weight_grad_1x1_sm90. Plain C++.
#pragma once

#include <string>

#include "plan/device_facts.h"
#include "plan/weight_grad_sm90.h"
#include "problem.h"

namespace octconv {

// Of problems of 1x1 taps that why_not_grad_sm90 lets pass.
GradPlanSm90 plan_joint_grad_sm90(const Problem& problem, const DeviceFacts& device);

// One line, such as "weight_grad_1x1_sm90, 128x64 tiles, 1x32 quads in 16 splits, 128 blocks".
std::string joint_text(const GradPlanSm90& plan);

}  // namespace octconv
