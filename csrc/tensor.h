// What the operators need of torch tensors beyond the stable API: layouts and dtypes.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/shim_utils.h>

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "check/check.h"
#include "dtype.h"
#include "params/resample.h"

// What the last call of PyTorch's C API that failed in this thread says. Before torch 2.13 it is
// not there, and PyTorch only logs that.
extern "C" __attribute__((weak)) const char* torch_exception_get_what_without_backtrace();

namespace octconv {

// Raises where a call of PyTorch's C API failed, with its text; if there is none, with what is
// likely. (TORCH_ERROR_CODE_CHECK would tell the line of a source file instead.)
inline void check_call(const char* called, AOTITorchError error, const char* likely = "failed") {
  if (error == TORCH_SUCCESS) return;
  const auto what = &torch_exception_get_what_without_backtrace;
  const char* text = what ? what() : nullptr;
  const bool tells = text && *text;
  throw std::runtime_error(std::string("octconv_cuda: ") + called + ": " + (tells ? text : likely) +
                           (tells ? "" : "; torch before 2.13 logs why"));
}

// Calls an operator, of all arguments of its schema. Its results, no more than they, replace them.
template <typename... Arguments>
std::array<StableIValue, sizeof...(Arguments)> dispatch(const char* op,
                                                        const Arguments&... arguments) {
  std::array<StableIValue, sizeof...(Arguments)> stack{torch::stable::detail::from(arguments)...};
  check_call(op, torch_call_dispatcher(op, "", stack.data(), TORCH_ABI_VERSION));
  return stack;
}

inline Tensor in_format(const Tensor& tensor, torch::headeronly::MemoryFormat format) {
  return torch::stable::detail::to<Tensor>(dispatch("aten::contiguous", tensor, format)[0]);
}

inline Tensor as_contiguous(const Tensor& tensor) {
  return in_format(tensor, torch::headeronly::MemoryFormat::Contiguous);
}

inline Tensor as_channels_last(const Tensor& map) {
  return in_format(map, torch::headeronly::MemoryFormat::ChannelsLast);
}

// Autograd would record what is computed in between, a part of the derivatives alone.
class NoGrad {
 public:
  NoGrad() : enabled_(aoti_torch_grad_mode_is_enabled()) {
    if (enabled_) aoti_torch_grad_mode_set_enabled(false);
  }
  ~NoGrad() {
    if (enabled_) aoti_torch_grad_mode_set_enabled(true);
  }

 private:
  const bool enabled_;
};

inline bool has_dense_channels(const Tensor& map) { return map.size(1) <= 1 || map.stride(1) == 1; }

// The map itself where its channels lie next to each other, else a channels_last copy.
inline Tensor with_dense_channels(const Tensor& map) {
  if (has_dense_channels(map)) return map;
  return as_channels_last(map);
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
  if (!float32) check_call("dtype", aoti_torch_get_dtype(like.get(), &dtype));
  check_call("device", aoti_torch_get_device_type(like.get(), &device_type));
  AtenTensorHandle handle;
  check_call("empty_strided",
             aoti_torch_empty_strided(kDims, sizes.data(), strides.data(), dtype, device_type,
                                      like.get_device_index(), &handle),
             "most likely out of memory");
  return Tensor(handle);
}

// A new map with exactly the strides that torch.empty(memory_format=channels_last) gives it.
inline Tensor empty_channels_last(const Tensor& like, const std::array<int64_t, 4>& sizes) {
  const int64_t channels = sizes[1], height = sizes[2], width = sizes[3];
  return empty_strided<4>(like, sizes, {height * width * channels, 1, width * channels, channels});
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
