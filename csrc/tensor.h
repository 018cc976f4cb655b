// What the operators need of torch tensors beyond the stable API: layouts and dtypes.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/shim_utils.h>

#include <array>
#include <cstdint>

#include "check/check.h"
#include "dtype.h"
#include "params/resample.h"

namespace octconv {

inline bool has_dense_channels(const Tensor& map) { return map.size(1) <= 1 || map.stride(1) == 1; }

// The map itself where its channels lie next to each other, else a channels_last copy.
inline Tensor with_dense_channels(const Tensor& map) {
  if (has_dense_channels(map)) return map;
  return torch::stable::contiguous(map, torch::headeronly::MemoryFormat::ChannelsLast);
}

inline Strides strides_of(const Tensor& map) {
  const auto strides = map.strides();
  return {strides[0], strides[2], strides[3]};
}

// A tensor that nobody has written, on the device of `like`; of its dtype, or of float32.
template <size_t kDims>
Tensor empty_strided(const Tensor& like, const std::array<int64_t, kDims>& sizes,
                     const std::array<int64_t, kDims>& strides, bool float32 = false) {
  int32_t dtype = aoti_torch_dtype_float32(), device_type;
  if (!float32) TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(like.get(), &dtype));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &device_type));
  AtenTensorHandle handle;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(kDims, sizes.data(), strides.data(), dtype,
                                                  device_type, like.get_device_index(), &handle));
  return Tensor(handle);
}

// A new map with exactly the strides that torch.empty(memory_format=channels_last) gives it.
inline Tensor empty_channels_last(const Tensor& like, const std::array<int64_t, 4>& sizes) {
  const int64_t channels = sizes[1], height = sizes[2], width = sizes[3];
  return empty_strided<4>(like, sizes, {height * width * channels, 1, width * channels, channels});
}

// Calls an operator, of all arguments of its schema. Its results, no more than they, replace them.
template <typename... Arguments>
std::array<StableIValue, sizeof...(Arguments)> dispatch(const char* op,
                                                        const Arguments&... arguments) {
  std::array<StableIValue, sizeof...(Arguments)> stack{torch::stable::detail::from(arguments)...};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher(op, "", stack.data(), TORCH_ABI_VERSION));
  return stack;
}

template <typename T>
struct TypeTag {
  using type = T;
};

// Calls run(TypeTag<T>()) with the storage type of a dtype that check_map has admitted.
template <typename Run>
void dispatch_dtype(ScalarType dtype, const Run& run) {
  switch (dtype) {
    case ScalarType::Float:
      return run(TypeTag<float>());
    case ScalarType::Double:
      return run(TypeTag<double>());
    case ScalarType::BFloat16:
      return run(TypeTag<BFloat16>());
    default:
      return run(TypeTag<Float16>());
  }
}

}  // namespace octconv
