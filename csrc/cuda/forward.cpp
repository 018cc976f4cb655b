// octconv_cuda::forward, inference and input_grad on CUDA devices: one launch of forward_sm80,
// forward_1x1_sm80, forward_sm90 or forward_1x1_sm90; at stride 2 beside one of pool2x2. What they
// do not cover, the operators named composed_... serve.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <optional>
#include <string>
#include <vector>

#include "check/epilogue.h"
#include "check/input_grad.h"
#include "cuda/call.h"
#include "cuda/choice.h"
#include "cuda/forward_sm90.h"
#include "cuda/pool2x2.h"
#include "launch/forward_sm80.h"
#include "text.h"

namespace octconv {
namespace {

using Choice = ChoiceOf<Plan, PlanSm90>;

Choice find_plan(const Tensor& weight, const Problem& problem, bool allow_tf32) {
  const auto type = element_type(weight.scalar_type(), allow_tf32);
  const std::string reason =
      why_not_served(weight, problem, weight.size(3), type, "bfloat16, float16 and tf32");
  if (!reason.empty()) return {{}, reason};
  thread_local PlanCache cache;
  const Plan plan = cache.plan(problem, *type, device_of(weight.get_device_index()).facts);
  if (!plan.tiles) return {{}, "no tile of the kernels has a halo that fits shared memory"};
  return {plan, ""};
}

// Family sm90 serves where it can: what it covers it computes faster, at small sizes about as fast,
// as measured on an H100 and an H200. At stride 2 the input is pooled first: kernels of family
// sm80, which pool on the way, do so once for each range of output channels, and were slower on an
// H200 wherever that was measured.
Choice choose(const char* op, const Tensor& weight, const Problem& problem, bool allow_tf32,
              const std::string& argument) {
  const std::string family = family_of(op, argument);
  const Trials trials = asked_trials(op);
  if (family == "none") return {{}, "the family none is asked for"};
  const bool pools = problem.stride == 2 && family != "sm80";
  const Problem convolved = pools ? of_pooled(problem) : problem;
  if (family.empty() || family == "sm90") {
    const ChoiceSm90 choice = find_plan_sm90(weight, convolved, trials);
    check_covered(op, argument, choice.plan || problem.batch == 0, choice.reason, "sm90");
    if (choice.plan) return {{}, "", choice.plan, pools};
  }
  if (pools && convolved.low_out == 0) return {{}, "one plain convolution of the pooled input"};
  Choice choice = find_plan(weight, convolved, allow_tf32);
  check_covered(op, argument, choice.plan || problem.batch == 0, choice.reason);
  choice.of_pooled = pools;
  return choice;
}

// The tensors of an Epilogue.
struct EpilogueTensors {
  Part scale, shift, residual_high, residual_low;
  Activation activation = Activation::kNone;
};

TensorPair run(const char* op, const Problem& problem, const Choice& choice, const Part& in_high,
               const Part& in_low, const Tensor& weight, const Part& bias,
               const EpilogueTensors& epilogue = {}) {
  const torch::stable::accelerator::DeviceGuard guard(weight.get_device_index());
  const bool grad = problem.input_grad;
  const int64_t height = grad ? problem.height : problem.grid_height();
  const int64_t width = grad ? problem.width : problem.grid_width();
  const Tensor out_high = empty_channels_last(
      weight, {problem.batch, grad ? problem.high_in : problem.high_out, height, width});
  const Tensor out_low = empty_channels_last(
      weight,
      {problem.batch, grad ? problem.low_in : problem.low_out, half_up(height), half_up(width)});

  const Part high = dense(in_high), low = dense(in_low);
  const Tensor dense_weight = dense(weight);
  Part dense_bias;
  if (bias) dense_bias = dense_vector(*bias);
  const Part residual_high = dense(epilogue.residual_high);
  const Part residual_low = dense(epilogue.residual_low);
  const ForwardPointers pointers{
      data_of(high),
      data_of(low),
      dense_weight.const_data_ptr(),
      data_of(dense_bias),
      out_high.mutable_data_ptr(),
      out_low.mutable_data_ptr(),
      {static_cast<const float*>(data_of(epilogue.scale)),
       static_cast<const float*>(data_of(epilogue.shift)), data_of(residual_high),
       data_of(residual_low), epilogue.activation}};
  const cudaStream_t stream = current_stream(weight);
  if (choice.sm90) {
    launch_forward_sm90(op, problem, *choice.sm90, pointers, weight.scalar_type(), stream);
    check_launch(op);
    return {out_high, out_low};
  }
  const Plan& plan = *choice.plan;
  Part workspace;  // partial sums, then arrivals
  float* partial_sums = nullptr;
  uint32_t* arrivals = nullptr;
  if (plan.partial_sums > 0) {
    workspace = empty_words(weight, plan.partial_sums + plan.arrivals);
    partial_sums = static_cast<float*>(workspace->mutable_data_ptr());
    arrivals = reinterpret_cast<uint32_t*>(partial_sums + plan.partial_sums);
    cudaMemsetAsync(arrivals, 0, plan.arrivals * sizeof(uint32_t), stream);
  }
  const Launch call{problem, plan, pointers, partial_sums, arrivals, stream};
  with_element_type(weight.scalar_type(), [&](auto type) {
    using T = typename decltype(type)::type;
    if (plan.joint_items > 0) return launch_forward_1x1_sm80<T>(call);
    grad ? launch_forward_sm80<T, true>(call) : launch_forward_sm80<T, false>(call);
  });
  check_launch(op);
  return {out_high, out_low};
}

// The same where the plan may be that of the pooled input.
TensorPair serve(const char* op, const Problem& problem, const Choice& choice, const Part& in_high,
                 const Part& in_low, const Tensor& weight, const Part& bias,
                 const EpilogueTensors& epilogue = {}) {
  if (!choice.of_pooled) return run(op, problem, choice, in_high, in_low, weight, bias, epilogue);
  const Problem convolved = of_pooled(problem);
  if (problem.input_grad) {
    const auto [dz, none] = run(op, convolved, choice, in_high, in_low, weight, bias, epilogue);
    return pool2x2_input_grad(op, dz, problem.high_in, problem.height, problem.width);
  }
  const Part z = pooled(in_high, in_low);
  return run(op, convolved, choice, z, std::nullopt, weight, bias, epilogue);
}

Problem forward_problem(const Part& x_high, const Part& x_low, const Tensor& weight,
                        int64_t high_out, const std::vector<int64_t>& size, int64_t stride) {
  const int64_t high_in = x_high ? x_high->size(1) : 0;
  return {number((x_high ? x_high : x_low)->size(0)),
          number(size[0]),
          number(size[1]),
          number(high_in),
          number(weight.size(1) - high_in),
          number(high_out),
          number(weight.size(0) - high_out),
          number(weight.size(2)),
          number(stride),
          false};
}

TensorPair forward(const Part& x_high, const Part& x_low, const Tensor& weight, const Part& bias,
                   int64_t high_out, std::vector<int64_t> size, int64_t stride, bool allow_tf32,
                   Text family) {
  check_forward("forward", x_high, x_low, weight, bias, high_out, size, stride);
  const Problem problem = forward_problem(x_high, x_low, weight, high_out, size, stride);
  const Choice choice = choose("forward", weight, problem, allow_tf32, family);
  if (choice.covered()) return serve("forward", problem, choice, x_high, x_low, weight, bias);
  return dispatch_pair("octconv_cuda::composed_forward", x_high, x_low, weight, bias, high_out,
                       size, stride, allow_tf32, std::nullopt);
}

TensorPair inference(const Part& x_high, const Part& x_low, const Tensor& weight, const Part& bias,
                     const Tensor& scale, const Tensor& shift, const Part& residual_high,
                     const Part& residual_low, int64_t activation, int64_t high_out,
                     std::vector<int64_t> size, int64_t stride, bool allow_tf32, Text family) {
  check_forward("inference", x_high, x_low, weight, bias, high_out, size, stride);
  check_epilogue(scale, shift, residual_high, residual_low, activation, weight, high_out,
                 (x_high ? x_high : x_low)->size(0), size, stride);
  const Problem problem = forward_problem(x_high, x_low, weight, high_out, size, stride);
  const Choice choice = choose("inference", weight, problem, allow_tf32, family);
  if (choice.covered()) {
    return serve("inference", problem, choice, x_high, x_low, weight, bias,
                 {aligned(dense_vector(scale)), aligned(dense_vector(shift)), residual_high,
                  residual_low, static_cast<Activation>(activation)});
  }
  return dispatch_pair("octconv_cuda::composed_inference", x_high, x_low, weight, bias, scale,
                       shift, residual_high, residual_low, activation, high_out, size, stride,
                       allow_tf32, std::nullopt);
}

// What forward does for the same arguments.
std::string explain_forward(const Part& x_high, const Part& x_low, const Tensor& weight,
                            int64_t high_out, std::vector<int64_t> size, int64_t stride,
                            bool allow_tf32, Text family) {
  check_forward("explain_forward", x_high, x_low, weight, std::nullopt, high_out, size, stride);
  const Problem problem = forward_problem(x_high, x_low, weight, high_out, size, stride);
  return explain(choose("explain_forward", weight, problem, allow_tf32, family), weight);
}

Problem input_grad_problem(const Tensor& dy_high, const Tensor& dy_low, const Tensor& weight,
                           int64_t high_in, const std::vector<int64_t>& size, int64_t stride) {
  return {number(dy_high.size(0)),
          number(size[0]),
          number(size[1]),
          number(high_in),
          number(weight.size(1) - high_in),
          number(dy_high.size(1)),
          number(dy_low.size(1)),
          number(weight.size(2)),
          number(stride),
          true};
}

TensorPair input_grad(const Tensor& dy_high, const Tensor& dy_low, const Tensor& weight,
                      int64_t high_in, std::vector<int64_t> size, int64_t stride, bool allow_tf32,
                      Text family) {
  check_input_grad("input_grad", dy_high, dy_low, weight, high_in, size, stride);
  const Problem problem = input_grad_problem(dy_high, dy_low, weight, high_in, size, stride);
  const Choice choice = choose("input_grad", weight, problem, allow_tf32, family);
  if (choice.covered()) {
    return serve("input_grad", problem, choice, dy_high, dy_low, weight, std::nullopt);
  }
  return dispatch_pair("octconv_cuda::composed_input_grad", dy_high, dy_low, weight, high_in, size,
                       stride, allow_tf32, std::nullopt);
}

// What input_grad does for the same arguments.
std::string explain_input_grad(const Tensor& dy_high, const Tensor& dy_low, const Tensor& weight,
                               int64_t high_in, std::vector<int64_t> size, int64_t stride,
                               bool allow_tf32, Text family) {
  check_input_grad("explain_input_grad", dy_high, dy_low, weight, high_in, size, stride);
  const Problem problem = input_grad_problem(dy_high, dy_low, weight, high_in, size, stride);
  return explain(choose("explain_input_grad", weight, problem, allow_tf32, family), weight);
}

}  // namespace
}  // namespace octconv

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CUDA, m) {
  m.impl("forward", TORCH_BOX(&octconv::forward));
  m.impl("explain_forward", TORCH_BOX(&octconv::explain_forward));
  m.impl("inference", TORCH_BOX(&octconv::inference));
  m.impl("input_grad", TORCH_BOX(&octconv::input_grad));
  m.impl("explain_input_grad", TORCH_BOX(&octconv::explain_input_grad));
}
