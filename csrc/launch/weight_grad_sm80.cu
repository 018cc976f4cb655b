// octconv_cuda::weight_grad on CUDA devices: one launch of weight_grad_sm80, and one that adds up
// its splits. What they do not cover, composed_weight_grad serves.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "check_weight_grad.h"
#include "coverage.h"
#include "launch/call.cuh"
#include "launch/launch.cuh"
#include "launch/weight_grad_sm80.h"

namespace octconv {
namespace {

constexpr int64_t kMostKernel = 9;  // that kernel sizes are told apart to; none covers it

// The plan of what the kernels cover.
std::optional<WeightGradPlan> choose(const Tensor& dy, const Problem& problem, int64_t kernel_width,
                                     bool allow_tf32, const std::string& family) {
  const auto type = element_type(dy.scalar_type(), allow_tf32);
  if (family_of("weight_grad", family) == "none" || !type || problem.batch == 0)
    return std::nullopt;
  if (problem.kernel != kernel_width || why_not_covered(problem, problem.kernel)) {
    return std::nullopt;
  }
  const DeviceFacts facts = facts_of(dy.get_device_index());
  if (facts.major < 8) return std::nullopt;
  thread_local WeightGradPlanCache cache;
  const WeightGradPlan plan = cache.plan(problem, *type, facts);
  return plan.tiles ? std::optional(plan) : std::nullopt;
}

// A dense tensor of the dtype of `like`, with strides as of its layout.
Tensor empty_like(const Tensor& like, const std::vector<int64_t>& sizes,
                  const std::vector<int64_t>& strides) {
  int32_t dtype, device_type;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(like.get(), &dtype));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &device_type));
  AtenTensorHandle handle;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(sizes.size(), sizes.data(), strides.data(), dtype,
                                                  device_type, like.get_device_index(), &handle));
  return Tensor(handle);
}

TensorPair run(const Problem& problem, const WeightGradPlan& plan, const Part& x_high,
               const Part& x_low, const Tensor& dy_high, const Tensor& dy_low, bool channels_last) {
  const torch::stable::accelerator::DeviceGuard guard(dy_high.get_device_index());
  const int64_t rows = problem.high_out + problem.low_out;
  const int64_t columns = problem.high_in + problem.low_in, k = problem.kernel, taps = k * k;
  const std::vector<int64_t> strides =
      channels_last ? std::vector<int64_t>{taps * columns, 1, k * columns, columns}
                    : std::vector<int64_t>{columns * taps, taps, k, 1};
  const Tensor dweight = empty_like(dy_high, {rows, columns, k, k}, strides);
  const Tensor dbias = empty_like(dy_high, {rows}, {1});

  const auto present = [](const Part& part) {
    return part && part->size(1) > 0 ? Part(dense(*part)) : std::nullopt;
  };
  const Part maps[] = {present(x_high), present(x_low), present(dy_high), present(dy_low)};
  const auto data = [](const Part& part) { return part ? part->const_data_ptr() : nullptr; };
  const WeightGradPointers pointers{data(maps[0]),
                                    data(maps[1]),
                                    data(maps[2]),
                                    data(maps[3]),
                                    dweight.mutable_data_ptr(),
                                    dbias.mutable_data_ptr(),
                                    {strides[0], strides[3], strides[1]},
                                    false};
  Part partial_sums;
  if (plan.partial_sums > 0) partial_sums = empty_words(dy_high, plan.partial_sums);
  const WeightGradLaunch call{
      problem, plan, pointers,
      partial_sums ? static_cast<float*>(partial_sums->mutable_data_ptr()) : nullptr,
      current_stream(dy_high)};
  switch (dy_high.scalar_type()) {
    case ScalarType::BFloat16:
      launch_weight_grad_sm80<BFloat16>(call);
      break;
    case ScalarType::Half:
      launch_weight_grad_sm80<Float16>(call);
      break;
    default:
      launch_weight_grad_sm80<TFloat32>(call);
  }
  check_launch("weight_grad");
  return {dweight, dbias};
}

TensorPair weight_grad(const Part& x_high, const Part& x_low, const Tensor& dy_high,
                       const Tensor& dy_low, std::vector<int64_t> size,
                       std::vector<int64_t> kernel_size, int64_t stride, bool allow_tf32,
                       bool channels_last, std::string family) {
  check_weight_grad(x_high, x_low, dy_high, dy_low, size, kernel_size, stride);
  const Problem problem{number(dy_high.size(0)),
                        number(size[0]),
                        number(size[1]),
                        number(x_high ? x_high->size(1) : 0),
                        number(x_low ? x_low->size(1) : 0),
                        number(dy_high.size(1)),
                        number(dy_low.size(1)),
                        number(std::min<int64_t>(kernel_size[0], kMostKernel)),
                        number(stride),
                        false};
  const auto plan = choose(dy_high, problem, kernel_size[1], allow_tf32, family);
  check_covered("weight_grad", family, plan.has_value() || problem.batch == 0,
                "its dtype, channels, kernel or GPU");
  if (plan) {
    return run(problem, *plan, x_high, x_low, dy_high, dy_low, channels_last);
  }
  using torch::stable::detail::from;
  return dispatch<10>(
      "octconv_cuda::composed_weight_grad",
      {from(x_high), from(x_low), from(dy_high), from(dy_low), from(size), from(kernel_size),
       from(stride), from(allow_tf32), from(channels_last), from(family)});
}

}  // namespace
}  // namespace octconv

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CUDA, m) {
  m.impl("weight_grad", TORCH_BOX(&octconv::weight_grad));
}
