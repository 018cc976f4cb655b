// Family sm90, as the operators forward, input_grad and inference call it.
#pragma once

#include <optional>
#include <string>

#include "launch/forward_sm90.h"
#include "plan/forward_sm90.h"
#include "problem.h"
#include "setup/forward_sm80.h"
#include "tensor.h"

namespace octconv {

// The plan for what it covers and can run, or why not.
struct ChoiceSm90 {
  std::optional<PlanSm90> plan;
  std::string reason;
};
ChoiceSm90 find_plan_sm90(const Tensor& weight, const Problem& problem, Trials trials);

// All pointers are there, but for those of absent parts.
void launch_forward_sm90(const char* op, const Problem& problem, const PlanSm90& plan,
                         const ForwardPointers& pointers, ScalarType dtype, cudaStream_t stream);

}  // namespace octconv
