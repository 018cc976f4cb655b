// Which weight gradients family sm90 serves, and their launch.
#include <torch/csrc/stable/accelerator.h>

#include <map>
#include <tuple>

#include "coverage.h"
#include "launch/call.cuh"
#include "launch/tensor_map.h"
#include "launch/weight_grad_sm90.h"

namespace octconv {
namespace {

bool has_code(int32_t tile, ScalarType dtype, int device) {
  thread_local std::map<std::tuple<int, ScalarType, int32_t>, bool> known;
  const auto [found, is_new] = known.try_emplace({device, dtype, tile}, false);
  if (is_new) {
    const torch::stable::accelerator::DeviceGuard guard(device);
    found->second = dtype == ScalarType::BFloat16 ? has_grad_code_sm90<BFloat16>(tile)
                                                  : has_grad_code_sm90<Float16>(tile);
  }
  return found->second;
}

}  // namespace

ChoiceGradSm90 find_grad_plan_sm90(const Tensor& dy, const Problem& problem, int32_t kernel_width) {
  const ScalarType dtype = dy.scalar_type();
  const auto type = element_type(dtype, false);
  if (!type) return {{}, dtype_text(dtype) + ", and kernels for bfloat16 and float16"};
  const char* reason = why_not_covered(problem, kernel_width);
  if (reason) return {{}, reason};
  const int device = dy.get_device_index();
  const DeviceFacts facts = facts_of(device);
  reason = why_not_grad_sm90(problem, *type, facts);
  if (reason) return {{}, reason};
  if (problem.batch == 0) return {{}, "an empty batch"};
  thread_local GradPlanCacheSm90 cache;
  const GradPlanSm90 plan = cache.plan(problem, *type, facts);
  if (!has_code(plan.cut.tile, dtype, device)) return {{}, "a library without code for sm_90a"};
  if (!makes_tensor_maps()) return {{}, "a driver that makes no tensor maps"};
  return {plan, ""};
}

void launch_weight_grad_sm90(const Problem& problem, const GradPlanSm90& plan,
                             const WeightGradPointers& pointers, float* partial_sums,
                             ScalarType dtype, cudaStream_t stream) {
  WeightGradSm90Params params = weight_grad_sm90_params(problem, plan.cut, pointers);
  params.partial_sums = partial_sums;
  for (int job = 0; job < kJobs; ++job) {
    const GradSm90Views views = weight_grad_views(params, job);
    params.fixed[job] = tensor_map("weight_grad", views.fixed, dtype);
    params.shifted[job] = tensor_map("weight_grad", views.shifted, dtype);
  }
  dtype == ScalarType::BFloat16 ? launch_grad_sm90<BFloat16>(params, stream)
                                : launch_grad_sm90<Float16>(params, stream);
}

}  // namespace octconv
