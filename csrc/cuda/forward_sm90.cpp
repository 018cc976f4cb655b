// Which calls kernels of family sm90 serve, and their launches.
#include "cuda/forward_sm90.h"

#include <array>
#include <map>
#include <optional>
#include <type_traits>

#include "cuda/call.h"
#include "cuda/choice.h"
#include "cuda/tensor_map.h"
#include "setup/forward_1x1_sm90.h"
#include "setup/forward_sm90.h"

namespace octconv {
namespace {

// Calls run(type, direction) with TypeTag<T> and std::bool_constant<kInputGrad>.
template <typename Run>
auto with_kernels(ScalarType dtype, bool input_grad, const Run& run) {
  const auto of_type = [&](auto type) {
    return input_grad ? run(type, std::true_type()) : run(type, std::false_type());
  };
  return with_16_bit_type(dtype, of_type);
}

bool can_run(const PlanSm90& plan, ScalarType dtype, bool input_grad, int device) {
  const JointCut& cut = plan.joint;
  const int32_t cluster = plan.joint_items > 0 ? cut.cluster() : plan.splits;
  using Key = std::array<int32_t, 12>;
  thread_local std::map<Key, bool> known;
  const Key key{device,
                static_cast<int32_t>(dtype),
                input_grad,
                plan.geometry,
                plan.columns[kHigh],
                plan.columns[kLow],
                cut.columns,
                cut.column_groups,
                cut.boxes,
                cut.slots,
                cluster,
                cluster > 1 ? plan.blocks : 0};
  return ask_once(known, key, device, [&] {
    return with_kernels(dtype, input_grad, [&](auto type, auto direction) {
      using T = typename decltype(type)::type;
      constexpr bool kInputGrad = decltype(direction)::value;
      return plan.joint_items > 0 ? can_run_1x1_sm90<T, kInputGrad>(plan)
                                  : can_run_sm90<T, kInputGrad>(plan);
    });
  });
}

void launch_1x1(const char* op, const Problem& problem, const PlanSm90& plan,
                const ForwardPointers& pointers, ScalarType dtype, cudaStream_t stream) {
  const auto map = [&](const TensorView& view) { return tensor_map(op, view, dtype); };
  const JointViews views = joint_views(problem, plan.joint, pointers);
  JointSm90Params params = joint_sm90_params(problem, plan.joint, pointers);
  for (int plane = 0; plane < kPlanes; ++plane) {
    params.in[plane] = map(views.in[plane]);
    params.out[plane] = map(views.out[plane]);
    params.residual[plane] = map(views.residual[plane]);
  }
  for (const Octave to : {kHigh, kLow}) {
    for (const Octave from : {kHigh, kLow}) params.weight[to][from] = map(views.weight[to][from]);
  }
  with_kernels(dtype, problem.input_grad, [&](auto type, auto direction) {
    using T = typename decltype(type)::type;
    launch_1x1_sm90<T, decltype(direction)::value>(plan, params, stream);
  });
}

}  // namespace

ChoiceSm90 find_plan_sm90(const Tensor& weight, const Problem& problem, Trials trials) {
  const ScalarType dtype = weight.scalar_type();
  const auto type = element_type(dtype, false);
  const std::string reason =
      why_not_served(weight, problem, weight.size(3), type, "bfloat16 and float16");
  if (!reason.empty()) return {{}, reason};
  const int device = weight.get_device_index();
  const DeviceFacts& facts = device_of(device).facts;
  if (const char* why_not = why_not_sm90(problem, *type, facts)) return {{}, why_not};
  thread_local PlanCacheSm90 cache;
  const auto plan_with = [&](Trials some) -> std::optional<PlanSm90> {
    const PlanSm90& plan = cache.plan(problem, *type, facts, some);
    return can_run(plan, dtype, problem.input_grad, device) ? std::optional(plan) : std::nullopt;
  };
  std::optional<PlanSm90> plan = plan_with(trials);
  if (!plan && trials & kTryClusters) plan = plan_with(trials & ~kTryClusters);
  if (!plan && trials) plan = plan_with(kTryNone);
  if (!plan) return {{}, "a library without code for sm_90a"};
  if (!makes_tensor_maps()) return {{}, "a driver that makes no tensor maps"};
  return {plan, ""};
}

void launch_forward_sm90(const char* op, const Problem& problem, const PlanSm90& plan,
                         const ForwardPointers& pointers, ScalarType dtype, cudaStream_t stream) {
  if (plan.joint_items > 0) return launch_1x1(op, problem, plan, pointers, dtype, stream);
  const auto map = [&](const TensorView& view) { return tensor_map(op, view, dtype); };
  const Problem convolution = as_convolution(problem);
  ForwardSm90Params params = forward_sm90_params(convolution, plan, pointers);
  for (int phase = 0; phase < 4; ++phase) {
    params.phase[phase] = map(phase_view(convolution, plan.geometry, pointers.in_high, phase));
  }
  params.strip = map(strip_view(convolution, plan.geometry, pointers.in_high));
  for (const Octave octave : {kHigh, kLow}) {
    params.low_input[octave] = map(low_view(convolution, plan.geometry, pointers.in_low, octave));
    for (const Octave from : {kHigh, kLow}) {
      params.weight[octave][from] = map(weight_view(problem, plan, pointers.weight, octave, from));
    }
  }
  with_kernels(dtype, problem.input_grad, [&](auto type, auto direction) {
    using T = typename decltype(type)::type;
    launch_sm90<T, decltype(direction)::value>(plan, params, stream);
  });
}

}  // namespace octconv
