// Argument checks. Each message names the operator, what it expects and what it was given.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "problem.h"

namespace octconv {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Part = std::optional<Tensor>;  // absent: none

// PyTorch turns the exception into a RuntimeError. (STD_TORCH_CHECK would put the source file and
// line, of no use to a caller, in front of the text.)
template <typename... Parts>
[[noreturn]] void fail(const char* op, const Parts&... parts) {
  std::ostringstream text;
  text << "octconv_cuda::" << op << ": ";
  (text << ... << parts);
  throw std::runtime_error(text.str());
}

// "(2, 16, 28, 28)"; a negative size stands for any, and prints as C.
template <typename Sizes>
std::string shape_text(const Sizes& sizes) {
  std::ostringstream text;
  const char* separator = "(";
  for (const int64_t size : sizes) {
    text << separator;
    size < 0 ? text << "C" : text << size;
    separator = ", ";
  }
  text << (sizes.size() == 0 ? "()" : sizes.size() == 1 ? ",)" : ")");
  return text.str();
}

inline std::string dtype_text(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::Float:
      return "float32";
    case ScalarType::Double:
      return "float64";
    case ScalarType::BFloat16:
      return "bfloat16";
    case ScalarType::Half:
      return "float16";
    default:
      return torch::headeronly::toString(dtype);
  }
}

inline std::string device_text(const Tensor& tensor) {
  if (tensor.is_cpu()) return "cpu";
  return (tensor.is_cuda() ? "cuda:" : "device ") + std::to_string(tensor.get_device_index());
}

// Memory behind every element: a sharded parameter's storage, for one, is freed between its uses.
inline void check_storage(const char* op, const char* name, const Tensor& tensor) {
  if (tensor.numel() > 0 && tensor.const_data_ptr() == nullptr) {
    fail(op, name, " must have its data in memory, got ", shape_text(tensor.sizes()),
         " with a freed storage");
  }
}

// Whether elements of a map may share memory: not if each stride steps over all that the smaller
// ones reach, as in whatever is sliced and permuted.
inline bool may_overlap(const Tensor& map) {
  if (map.numel() == 0) return false;
  std::vector<std::pair<int64_t, int64_t>> axes;  // stride, size
  for (int64_t dim = 0; dim < map.dim(); ++dim) {
    if (map.size(dim) > 1) axes.emplace_back(map.stride(dim), map.size(dim));
  }
  std::sort(axes.begin(), axes.end());
  int64_t reach = 0;
  for (const auto& [stride, size] : axes) {
    if (stride <= reach) return true;
    reach += stride * (size - 1);
  }
  return false;
}

// Each fits 32 bits.
template <typename Sizes>
void check_sizes(const char* op, const char* name, const Sizes& sizes) {
  for (const int64_t size : sizes) {
    if (size > std::numeric_limits<int32_t>::max()) {
      fail(op, "each size of ", name, " must be below 2^31, got ", shape_text(sizes));
    }
  }
}

// A feature map: (N, C, H, W), one of the four floating-point types, sizes that fit 32 bits, and
// at least one pixel; N and C may be 0.
inline void check_map(const char* op, const char* name, const Tensor& map) {
  const auto sizes = map.sizes();
  if (sizes.size() != 4) fail(op, name, " must be (N, C, H, W), got ", shape_text(sizes));
  const ScalarType dtype = map.scalar_type();
  if (dtype != ScalarType::Float && dtype != ScalarType::Double && dtype != ScalarType::BFloat16 &&
      dtype != ScalarType::Half) {
    fail(op, name, " must be float32, float64, bfloat16 or float16, got ", dtype_text(dtype));
  }
  if (sizes[2] < 1 || sizes[3] < 1) {
    fail(op, name, " must have a positive height and width, got ", shape_text(sizes));
  }
  check_sizes(op, name, sizes);
  check_storage(op, name, map);
}

// `low` belongs under `map`: same dtype and device, same batch, half the height and width rounded
// up. channels < 0 leaves the number of channels free.
inline void check_low(const char* op, const Tensor& low, const char* map_name, const Tensor& map,
                      int64_t channels) {
  const ScalarType dtype = map.scalar_type();
  if (low.scalar_type() != dtype) {
    fail(op, "low must be ", dtype_text(dtype), " like ", map_name, ", got ",
         dtype_text(low.scalar_type()));
  }
  if (device_text(low) != device_text(map)) {
    fail(op, "low must be on ", device_text(map), " like ", map_name, ", got ", device_text(low));
  }
  check_storage(op, "low", low);
  const auto sizes = low.sizes();
  const int64_t half_height = half_up(map.size(2)), half_width = half_up(map.size(3));
  if (sizes.size() != 4 || sizes[0] != map.size(0) || (channels >= 0 && sizes[1] != channels) ||
      sizes[2] != half_height || sizes[3] != half_width) {
    const std::initializer_list<int64_t> expected = {map.size(0), channels, half_height,
                                                     half_width};
    fail(op, "low must be ", shape_text(expected), " to match ", map_name, " ",
         shape_text(map.sizes()), ", got ", shape_text(sizes));
  }
}

}  // namespace octconv
