// What forward_sm90 needs of the driver: tensor maps.
#include <cuda.h>
#include <torch/csrc/stable/accelerator.h>

#include <cstring>
#include <map>
#include <tuple>
#include <type_traits>

#include "coverage.h"
#include "forward_sm90_setup.h"
#include "launch/call.cuh"
#include "launch/forward_sm90.h"

namespace octconv {
namespace {

static_assert(sizeof(TensorMap) == sizeof(CUtensorMap) &&
              alignof(TensorMap) >= alignof(CUtensorMap));

// The driver's function, without which the library does not link to the driver; null if it is
// older.
using Encode = decltype(&cuTensorMapEncodeTiled);
Encode encode_function() {
  static const Encode encode = [] {
    constexpr unsigned kSince = 12000;  // the version of CUDA
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
    const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function,
                                                               kSince, cudaEnableDefault, &result);
    const bool found = error == cudaSuccess && result == cudaDriverEntryPointSuccess;
    if (!found) cudaGetLastError();  // not to be found by a later call
    return reinterpret_cast<Encode>(found ? function : nullptr);
  }();
  return encode;
}

TensorMap encode(const char* op, const TensorView& view, ScalarType dtype) {
  const auto type = dtype == ScalarType::BFloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                  : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  constexpr cuuint32_t kDense[5] = {1, 1, 1, 1, 1};
  cuuint64_t sizes[5], strides[4];
  cuuint32_t box[5];
  for (int i = 0; i < 5; ++i) sizes[i] = view.sizes[i], box[i] = view.box[i];
  for (int i = 0; i < 4; ++i) strides[i] = view.strides[i];
  CUtensorMap map;
  const CUresult result = encode_function()(
      &map, type, static_cast<cuuint32_t>(view.rank), const_cast<void*>(view.address), sizes,
      strides, box, kDense, CU_TENSOR_MAP_INTERLEAVE_NONE,
      view.swizzled ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    fail(op, "the driver refuses a tensor map, with error ", static_cast<int>(result));
  }
  TensorMap copy;
  std::memcpy(&copy, &map, sizeof copy);
  return copy;
}

// Calls run(type, direction) with TypeTag<T> and std::bool_constant<kInputGrad>.
template <typename Run>
auto with_kernels(ScalarType dtype, bool input_grad, const Run& run) {
  const auto of_type = [&](auto type) {
    return input_grad ? run(type, std::true_type()) : run(type, std::false_type());
  };
  return dtype == ScalarType::BFloat16 ? of_type(TypeTag<BFloat16>()) : of_type(TypeTag<Float16>());
}

bool has_code(const PlanSm90& plan, ScalarType dtype, bool input_grad, int device) {
  using Key = std::tuple<int, ScalarType, bool, int32_t, int32_t, int32_t>;
  thread_local std::map<Key, bool> known;
  const Key key{device, dtype, input_grad, plan.geometry, plan.columns[kHigh], plan.columns[kLow]};
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  const torch::stable::accelerator::DeviceGuard guard(device);
  return known[key] = with_kernels(dtype, input_grad, [&](auto type, auto direction) {
           return has_code_sm90<typename decltype(type)::type, decltype(direction)::value>(plan);
         });
}

}  // namespace

ChoiceSm90 find_plan_sm90(const Tensor& weight, const Problem& problem) {
  const ScalarType dtype = weight.scalar_type();
  const auto type = element_type(dtype, false);
  if (!type) return {{}, dtype_text(dtype) + ", and kernels for bfloat16 and float16"};
  const char* reason = why_not_covered(problem, static_cast<int32_t>(weight.size(3)));
  if (reason) return {{}, reason};
  const int device = weight.get_device_index();
  const DeviceFacts facts = facts_of(device);
  reason = why_not_sm90(problem, *type, facts);
  if (reason) return {{}, reason};
  if (problem.batch == 0) return {{}, "an empty batch"};
  thread_local PlanCacheSm90 cache;
  const PlanSm90 plan = cache.plan(problem, *type, facts);
  if (!has_code(plan, dtype, problem.input_grad, device)) {
    return {{}, "a library without code for sm_90a"};
  }
  if (!encode_function()) return {{}, "a driver that makes no tensor maps"};
  return {plan, ""};
}

void launch_forward_sm90(const Problem& problem, const PlanSm90& plan,
                         const ForwardPointers& pointers, ScalarType dtype, cudaStream_t stream) {
  const char* op = problem.input_grad ? "input_grad" : "forward";
  const Problem convolution = as_convolution(problem);
  ForwardSm90Params params = forward_sm90_params(convolution, plan, pointers);
  const auto map_of = [&](const TensorView& view) { return encode(op, view, dtype); };
  for (int phase = 0; phase < 4; ++phase) {
    params.phase[phase] = map_of(phase_view(convolution, plan.geometry, pointers.in_high, phase));
  }
  params.strip = map_of(strip_view(convolution, plan.geometry, pointers.in_high));
  for (const Octave octave : {kHigh, kLow}) {
    params.low_input[octave] =
        map_of(low_view(convolution, plan.geometry, pointers.in_low, octave));
    for (const Octave from : {kHigh, kLow}) {
      params.weight[octave][from] = map_of(weight_view(problem, pointers.weight, octave, from));
    }
  }
  with_kernels(dtype, problem.input_grad, [&](auto type, auto direction) {
    launch_sm90<typename decltype(type)::type, decltype(direction)::value>(plan, params, stream);
  });
}

}  // namespace octconv
