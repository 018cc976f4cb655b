// Family sm90, as the operator weight_grad calls it.
#pragma once

#include <cuda_runtime.h>

#include <optional>

#include "plan/weight_grad_sm90.h"
#include "problem.h"
#include "setup/weight_grad_sm90.h"
#include "tensor.h"

namespace octconv {

// The plan for what it covers and can run.
std::optional<GradPlanSm90> find_grad_plan_sm90(const Tensor& dy, const Problem& problem,
                                                int64_t kernel_width);

// All pointers are there; partial_sums are as many as planned.
void launch_weight_grad_sm90(const Problem& problem, const GradPlanSm90& plan,
                             const WeightGradPointers& pointers, float* partial_sums,
                             ScalarType dtype, cudaStream_t stream);

}  // namespace octconv
