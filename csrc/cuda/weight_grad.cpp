// octconv_cuda::weight_grad on CUDA devices: one launch of weight_grad_sm80, weight_grad_1x1_sm80,
// weight_grad_sm90 or weight_grad_1x1_sm90, and one that adds up its splits; at stride 2 one of
// pool2x2 before. What they do not cover, composed_weight_grad serves.
#include "check/weight_grad.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "cuda/call.h"
#include "cuda/choice.h"
#include "cuda/pool2x2.h"
#include "cuda/weight_grad_sm90.h"
#include "launch/weight_grad_sm80.h"
#include "text.h"

namespace octconv {
namespace {

using Choice = ChoiceOf<WeightGradPlan, GradPlanSm90>;

Choice find_plan(const Tensor& dy, const Problem& problem, int64_t kernel_width, bool allow_tf32) {
  const auto type = element_type(dy.scalar_type(), allow_tf32);
  const std::string reason =
      why_not_served(dy, problem, kernel_width, type, "bfloat16, float16 and tf32");
  if (!reason.empty()) return {{}, reason};
  thread_local WeightGradPlanCache cache;
  const WeightGradPlan plan = cache.plan(problem, *type, device_of(dy.get_device_index()).facts);
  if (!plan.tiles) return {{}, "no tile of the kernels fits shared memory"};
  return {plan, ""};
}

// Family sm90 serves where it is faster, as measured on an H200, or where it is asked for; what it
// does not cover then is the library's choice. At stride 2 that is to pool first, as in forward.
Choice choose(const char* op, const Tensor& dy, const Problem& problem, int64_t kernel_width,
              bool allow_tf32, const std::string& argument) {
  const std::string family = family_of(op, argument);
  if (family == "none") return {{}, "the family none is asked for"};
  const bool pools = problem.stride == 2 && family != "sm80";
  const Problem convolved = pools ? of_pooled(problem) : problem;
  if (pools && convolved.low_out == 0) return {{}, "one plain convolution of the pooled input"};
  if (family.empty() || family == "sm90") {
    const auto plan = find_grad_plan_sm90(dy, convolved, kernel_width);
    if (plan && (family == "sm90" || faster_than_portable(convolved, *plan))) {
      return {{}, "", plan, pools};
    }
  }
  Choice choice = find_plan(dy, convolved, kernel_width, allow_tf32);
  check_covered(op, argument, choice.plan || problem.batch == 0, choice.reason);
  choice.of_pooled = pools;
  return choice;
}

TensorPair run(const Problem& problem, const Choice& choice, const Part& x_high, const Part& x_low,
               const Tensor& dy_high, const Tensor& dy_low, bool channels_last, bool bias,
               bool float32) {
  const torch::stable::accelerator::DeviceGuard guard(dy_high.get_device_index());
  const int64_t rows = problem.high_out + problem.low_out;
  const int64_t columns = problem.high_in + problem.low_in, k = problem.kernel, taps = k * k;
  using Strides4 = std::array<int64_t, 4>;
  const Strides4 strides = channels_last ? Strides4{taps * columns, 1, k * columns, columns}
                                         : Strides4{columns * taps, taps, k, 1};
  const Tensor dweight = empty_strided<4>(dy_high, {rows, columns, k, k}, strides, float32);
  const Tensor dbias = empty_strided<1>(dy_high, {bias ? rows : 0}, {1}, float32);

  const Part maps[] = {dense(x_high), dense(x_low), dense(Part(dy_high)), dense(Part(dy_low))};
  const WeightGradPointers pointers{data_of(maps[0]),
                                    data_of(maps[1]),
                                    data_of(maps[2]),
                                    data_of(maps[3]),
                                    dweight.mutable_data_ptr(),
                                    bias ? dbias.mutable_data_ptr() : nullptr,
                                    {strides[0], strides[3], strides[1]},
                                    float32};
  Part partial_sums;
  const int64_t words = choice.sm90 ? choice.sm90->partial_sums : choice.plan->partial_sums;
  if (words > 0) partial_sums = empty_words(dy_high, words);
  float* sums = partial_sums ? static_cast<float*>(partial_sums->mutable_data_ptr()) : nullptr;
  const cudaStream_t stream = current_stream(dy_high);
  if (choice.sm90) {
    launch_weight_grad_sm90(problem, *choice.sm90, pointers, sums, dy_high.scalar_type(), stream);
    check_launch("weight_grad");
    return {dweight, dbias};
  }
  const WeightGradLaunch call{problem, *choice.plan, pointers, sums, stream};
  with_element_type(dy_high.scalar_type(), [&](auto type) {
    launch_weight_grad_sm80<typename decltype(type)::type>(call);
  });
  check_launch("weight_grad");
  return {dweight, dbias};
}

Problem problem_of(const Part& x_high, const Part& x_low, const Tensor& dy_high,
                   const Tensor& dy_low, const std::vector<int64_t>& size,
                   const std::vector<int64_t>& kernel_size, int64_t stride) {
  return {number(dy_high.size(0)),
          number(size[0]),
          number(size[1]),
          number(x_high ? x_high->size(1) : 0),
          number(x_low ? x_low->size(1) : 0),
          number(dy_high.size(1)),
          number(dy_low.size(1)),
          number(std::min<int64_t>(kernel_size[0], kMostTaps + 2)),
          number(stride),
          false};
}

TensorPair weight_grad(const Part& x_high, const Part& x_low, const Tensor& dy_high,
                       const Tensor& dy_low, std::vector<int64_t> size,
                       std::vector<int64_t> kernel_size, int64_t stride, bool allow_tf32,
                       bool channels_last, Text family, bool bias, bool float32) {
  check_weight_grad("weight_grad", x_high, x_low, dy_high, dy_low, size, kernel_size, stride);
  const Problem problem = problem_of(x_high, x_low, dy_high, dy_low, size, kernel_size, stride);
  const Choice choice = choose("weight_grad", dy_high, problem, kernel_size[1], allow_tf32, family);
  if (choice.covered()) {
    if (!choice.of_pooled) {
      return run(problem, choice, x_high, x_low, dy_high, dy_low, channels_last, bias, float32);
    }
    return run(of_pooled(problem), choice, pooled(x_high, x_low), std::nullopt, dy_high, dy_low,
               channels_last, bias, float32);
  }
  return dispatch_pair("octconv_cuda::composed_weight_grad", x_high, x_low, dy_high, dy_low, size,
                       kernel_size, stride, allow_tf32, channels_last, std::nullopt, bias, float32);
}

// What weight_grad does for the same arguments.
std::string explain_weight_grad(const Part& x_high, const Part& x_low, const Tensor& dy_high,
                                const Tensor& dy_low, std::vector<int64_t> size,
                                std::vector<int64_t> kernel_size, int64_t stride, bool allow_tf32,
                                Text family) {
  const char* op = "explain_weight_grad";
  check_weight_grad(op, x_high, x_low, dy_high, dy_low, size, kernel_size, stride);
  const Problem problem = problem_of(x_high, x_low, dy_high, dy_low, size, kernel_size, stride);
  return explain(choose(op, dy_high, problem, kernel_size[1], allow_tf32, family), dy_high);
}

}  // namespace
}  // namespace octconv

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CUDA, m) {
  m.impl("weight_grad", TORCH_BOX(&octconv::weight_grad));
  m.impl("explain_weight_grad", TORCH_BOX(&octconv::explain_weight_grad));
}
