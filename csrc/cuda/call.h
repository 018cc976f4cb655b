// What the operators on CUDA need for a call: operands as kernels read them, workspace, and the
// operators that serve the rest.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <cstdint>
#include <optional>
#include <tuple>

#include "check/check.h"
#include "tensor.h"

// Only CUDA builds of torch have it. Were it not weak, CPU builds could not load the library.
extern "C" __attribute__((weak)) AOTITorchError
aoti_torch_get_current_cuda_stream(int32_t device_index, void** stream);

namespace octconv {

using TensorPair = std::tuple<Tensor, Tensor>;

inline cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  check_call("current stream",
             aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

// To be called straight after a launch.
inline void check_launch(const char* op) {
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) {
    fail(op, "the launch, or a kernel before it, failed: ", cudaGetErrorString(error));
  }
}

// The tensor, which is dense, at an address of 16 bytes.
inline Tensor aligned(const Tensor& tensor) {
  if (reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0) return tensor;
  return torch::stable::detail::to<Tensor>(dispatch("aten::clone", tensor, std::nullopt)[0]);
}

inline bool is_channels_last(const Tensor& tensor) {
  const auto sizes = tensor.sizes(), strides = tensor.strides();
  int64_t dense_stride = 1;
  for (const int dim : {1, 3, 2, 0}) {
    if (sizes[dim] != 1 && strides[dim] != dense_stride) return false;
    dense_stride *= sizes[dim];
  }
  return true;
}

// The channels_last elements of a map or weight, so, too. Torch is asked only where there is
// something to do: its dispatcher takes longer than all checks of a call.
inline Tensor dense(const Tensor& tensor) {
  if (is_channels_last(tensor)) return aligned(tensor);
  return aligned(as_channels_last(tensor));
}

// The same of a part, if it has channels.
inline Part dense(const Part& part) {
  return part && part->size(1) > 0 ? Part(dense(*part)) : std::nullopt;
}

// The same of a vector, but for its address.
inline Tensor dense_vector(const Tensor& tensor) {
  return tensor.is_contiguous() ? tensor : as_contiguous(tensor);
}

inline const void* data_of(const Part& part) { return part ? part->const_data_ptr() : nullptr; }

// Memory of `count` words of 4 bytes, which nobody has written.
inline Tensor empty_words(const Tensor& like, int64_t count) {
  return empty_strided<1>(like, {count}, {1}, true);
}

// Calls run(TypeTag<T>()) with the element type of kernels of family sm90.
template <typename Run>
auto with_16_bit_type(ScalarType dtype, const Run& run) {
  return dtype == ScalarType::BFloat16 ? run(TypeTag<BFloat16>()) : run(TypeTag<Float16>());
}

// The same of family sm80.
template <typename Run>
auto with_element_type(ScalarType dtype, const Run& run) {
  return dtype == ScalarType::Float ? run(TypeTag<TFloat32>()) : with_16_bit_type(dtype, run);
}

template <typename... Arguments>
TensorPair dispatch_pair(const char* op, const Arguments&... arguments) {
  using torch::stable::detail::to;
  const auto results = dispatch(op, arguments...);
  return {to<Tensor>(results[0]), to<Tensor>(results[1])};
}

inline int32_t number(int64_t value) { return static_cast<int32_t>(value); }

}  // namespace octconv
