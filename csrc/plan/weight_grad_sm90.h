// How a weight gradient is cut up for weight_grad_sm90 or weight_grad_1x1_sm90. Plain C++.
#pragma once

#include <cstdint>
#include <string>

#include "params/weight_grad_1x1_sm90.h"
#include "plan/cache.h"
#include "plan/device_facts.h"
#include "problem.h"
#include "setup/weight_grad_sm90.h"

namespace octconv {

struct GradPlanSm90 {
  GradSm90Cut cut;
  JointGradSm90Cut joint;  // in its place, of weight_grad_1x1_sm90: splits > 0
  int64_t items[kJobs];    // a block each
  int64_t partial_sums;    // floats of workspace, where tiles are split
  double microseconds;     // predicted
};

// Why neither covers a problem that why_not_covered lets pass; null if it does.
const char* why_not_grad_sm90(const Problem& problem, ElementType type, const DeviceFacts& device);

// Whether the kernel of a plan was faster than the portable one on an H200: weight_grad_1x1_sm90
// not where one of its warpgroups has no channels (64 to 256 of 56x56 pixels: 118 us, not 105).
bool faster_than_portable(const Problem& problem, const GradPlanSm90& plan);

// Of problems that are covered.
GradPlanSm90 plan_weight_grad_sm90(const Problem& problem, ElementType type,
                                   const DeviceFacts& device);

// One line, such as "weight_grad_sm90, 64x64 tiles, W_HH 8x28 pixels in 68 splits, ...,
// 132 blocks".
std::string to_string(const GradPlanSm90& plan);

using GradPlanCacheSm90 = PlanCacheOf<plan_weight_grad_sm90>;

}  // namespace octconv
