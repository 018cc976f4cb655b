#include "cuda/tensor_map.h"

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstring>

#include "check/check.h"

namespace octconv {
namespace {

static_assert(sizeof(TensorMap) == sizeof(CUtensorMap) &&
              alignof(TensorMap) >= alignof(CUtensorMap));

// The driver's function, to which the library does not link; null if the driver is older, or could
// not be asked in this call.
using Encode = decltype(&cuTensorMapEncodeTiled);
Encode encode_function() {
  thread_local Encode encode = nullptr;
  if (encode) return encode;
  constexpr unsigned kSince = 12000;  // the version of CUDA
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function,
                                                             kSince, cudaEnableDefault, &result);
  const bool found = error == cudaSuccess && result == cudaDriverEntryPointSuccess;
  if (!found) cudaGetLastError();  // not to be found by a later call
  return encode = reinterpret_cast<Encode>(found ? function : nullptr);
}

}  // namespace

bool makes_tensor_maps() { return encode_function() != nullptr; }

TensorMap tensor_map(const char* op, const TensorView& view, ScalarType dtype) {
  if (view.empty()) return {};
  const auto type = dtype == ScalarType::BFloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                  : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  const auto swizzle = !view.swizzled      ? CU_TENSOR_MAP_SWIZZLE_NONE
                       : view.box[0] == 32 ? CU_TENSOR_MAP_SWIZZLE_64B
                                           : CU_TENSOR_MAP_SWIZZLE_128B;
  constexpr cuuint32_t kDense[5] = {1, 1, 1, 1, 1};
  cuuint64_t sizes[5], strides[4];
  cuuint32_t box[5];
  for (int i = 0; i < 5; ++i) sizes[i] = view.sizes[i], box[i] = view.box[i];
  for (int i = 0; i < 4; ++i) strides[i] = view.strides[i];
  CUtensorMap map;
  const CUresult result = encode_function()(
      &map, type, static_cast<cuuint32_t>(view.rank), const_cast<void*>(view.address), sizes,
      strides, box, kDense, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    fail(op, "the driver refuses a tensor map, with error ", static_cast<int>(result),
         "; OCTCONV_CUDA_FAMILY=sm80 chooses kernels without");
  }
  TensorMap copy;
  std::memcpy(&copy, &map, sizeof copy);
  return copy;
}

}  // namespace octconv
