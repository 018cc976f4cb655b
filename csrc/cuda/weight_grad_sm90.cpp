// Which weight gradients family sm90 serves, and their launch.
#include "cuda/weight_grad_sm90.h"

#include <map>
#include <tuple>

#include "cuda/call.h"
#include "cuda/choice.h"
#include "cuda/tensor_map.h"
#include "launch/weight_grad_sm90.h"
#include "setup/weight_grad_1x1_sm90.h"
#include "traits/weight_grad_1x1_sm90.h"

namespace octconv {
namespace {

bool has_code(const GradPlanSm90& plan, ScalarType dtype, int device) {
  using Key = std::tuple<int, ScalarType, int32_t, int32_t>;
  thread_local std::map<Key, bool> known;
  const Key key{device, dtype, plan.cut.tile, plan.joint.rows};
  return ask_once(known, key, device, [&] {
    return with_16_bit_type(dtype, [&](auto type) {
      using T = typename decltype(type)::type;
      return plan.joint.splits > 0 ? has_joint_grad_code_sm90<T>(plan.joint.rows)
                                   : has_grad_code_sm90<T>(plan.cut.tile);
    });
  });
}

void launch_1x1(const Problem& problem, const JointGradSm90Cut& cut,
                const WeightGradPointers& pointers, float* partial_sums, ScalarType dtype,
                cudaStream_t stream) {
  JointGradSm90Params params = joint_grad_sm90_params(problem, cut, pointers);
  params.partial_sums = partial_sums;
  const JointGradViews views = joint_grad_views(problem, cut, pointers);
  for (int plane = 0; plane < kPlanes; ++plane) {
    params.dy[plane] = tensor_map("weight_grad", views.dy[plane], dtype);
    params.x[plane] = tensor_map("weight_grad", views.x[plane], dtype);
  }
  with_16_bit_type(dtype, [&](auto type) {
    launch_joint_grad_sm90<typename decltype(type)::type>(params, stream);
  });
}

}  // namespace

std::optional<GradPlanSm90> find_grad_plan_sm90(const Tensor& dy, const Problem& problem,
                                                int64_t kernel_width) {
  const ScalarType dtype = dy.scalar_type();
  const auto type = element_type(dtype, false);
  if (!why_not_served(dy, problem, kernel_width, type, "").empty()) return std::nullopt;
  const int device = dy.get_device_index();
  const DeviceFacts& facts = device_of(device).facts;
  if (why_not_grad_sm90(problem, *type, facts)) return std::nullopt;
  thread_local GradPlanCacheSm90 cache;
  const GradPlanSm90 plan = cache.plan(problem, *type, facts);
  if (!has_code(plan, dtype, device) || !makes_tensor_maps()) return std::nullopt;
  return plan;
}

void launch_weight_grad_sm90(const Problem& problem, const GradPlanSm90& plan,
                             const WeightGradPointers& pointers, float* partial_sums,
                             ScalarType dtype, cudaStream_t stream) {
  if (plan.joint.splits > 0) {
    return launch_1x1(problem, plan.joint, pointers, partial_sums, dtype, stream);
  }
  WeightGradSm90Params params = weight_grad_sm90_params(problem, plan.cut, pointers);
  params.partial_sums = partial_sums;
  for (int job = 0; job < kJobs; ++job) {
    const GradSm90Views views = weight_grad_views(params, job);
    params.fixed[job] = tensor_map("weight_grad", views.fixed, dtype);
    params.shifted[job] = tensor_map("weight_grad", views.shifted, dtype);
  }
  with_16_bit_type(
      dtype, [&](auto type) { launch_grad_sm90<typename decltype(type)::type>(params, stream); });
}

}  // namespace octconv
