// Text that comes in as an argument of an operator.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <string>

namespace octconv {

// In place of std::string, of which PyTorch's own conversion leaks one in each call before 2.15.
struct Text {
  std::string value;

  operator const std::string&() const { return value; }
};

}  // namespace octconv

template <>
struct torch::stable::detail::ToImpl<octconv::Text> {
  template <typename... Versions>
  static octconv::Text call(StableIValue value, Versions...) {
    const auto handle = to<StringHandle>(value);
    size_t length = 0;
    const char* data = nullptr;
    TORCH_ERROR_CODE_CHECK(torch_string_length(handle, &length));
    TORCH_ERROR_CODE_CHECK(torch_string_c_str(handle, &data));
    const octconv::Text text{std::string(data, length)};
    TORCH_ERROR_CODE_CHECK(torch_delete_string(handle));
    return text;
  }
};
