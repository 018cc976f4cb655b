#include "cuda/tensor_map.h"

#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <unordered_map>

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

// All that a map follows from.
using MapKey = std::array<uint64_t, 18>;
MapKey key_of(const TensorView& view, CUtensorMapDataType type) {
  const auto& [address, rank, sizes, strides, box, swizzled] = view;
  MapKey key{reinterpret_cast<uintptr_t>(address), u(rank), type, swizzled};
  const auto of_strides = std::copy(std::begin(sizes), std::end(sizes), key.begin() + 4);
  const auto of_box = std::copy(std::begin(strides), std::end(strides), of_strides);
  std::copy(std::begin(box), std::end(box), of_box);
  return key;
}

struct MapHash {
  size_t operator()(const MapKey& key) const {
    uint64_t hash = 0;
    for (const uint64_t word : key) hash = (hash ^ word) * 0x9E3779B97F4A7C15;
    return hash ^ hash >> 32;
  }
};

// In a loop of calls tensors lie where they have lain. Enough for what a thread does of a large
// network, its forward or its backward pass, in at most 1.3 MB.
using MapBytes = std::array<std::byte, sizeof(CUtensorMap)>;
using KnownMaps = std::unordered_map<MapKey, MapBytes, MapHash>;
constexpr size_t kMostMaps = 1 << 12;

TensorMap copy_of(const MapBytes& bytes) {
  TensorMap map;
  std::memcpy(&map, bytes.data(), sizeof map);
  return map;
}

}  // namespace

bool makes_tensor_maps() { return encode_function() != nullptr; }

TensorMap tensor_map(const char* op, const TensorView& view, ScalarType dtype) {
  if (view.empty()) return {};
  const auto type = dtype == ScalarType::BFloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                  : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  thread_local KnownMaps known;
  const MapKey key = key_of(view, type);
  if (const auto found = known.find(key); found != known.end()) return copy_of(found->second);
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
  if (known.size() == kMostMaps) known.clear();  // tensors that come and go without end
  MapBytes& bytes = known[key];
  std::memcpy(bytes.data(), &map, sizeof map);
  return copy_of(bytes);
}

}  // namespace octconv
