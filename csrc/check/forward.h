// The checks of octconv_cuda::forward, the same for every device; octconv_cuda/operands.py holds
// them for the operators that PyTorch's own operators serve.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "check/check.h"

namespace octconv {

inline void check_like(const char* op, const char* name, const Tensor& tensor, const char* other,
                       const Tensor& beside) {
  if (tensor.scalar_type() != beside.scalar_type()) {
    fail(op, name, " must be ", dtype_text(beside.scalar_type()), " like ", other, ", got ",
         dtype_text(tensor.scalar_type()));
  }
  if (device_text(tensor) != device_text(beside)) {
    fail(op, name, " must be on ", device_text(beside), " like ", other, ", got ",
         device_text(tensor));
  }
  check_storage(op, name, tensor);
}

// One part of a map: (batch, C, height, width), as `size`, the (H, W) of the high input, wants it.
inline void check_part(const char* op, const char* name, const Tensor& part, int64_t batch,
                       int64_t height, int64_t width, const std::vector<int64_t>& size) {
  check_map(op, name, part);
  if (part.size(0) != batch || part.size(2) != height || part.size(3) != width) {
    const std::initializer_list<int64_t> expected = {batch, part.size(1), height, width};
    fail(op, name, " must be ", shape_text(expected), " to match size ", shape_text(size), ", got ",
         shape_text(part.sizes()));
  }
}

// (H, W) of the high output.
inline std::array<int64_t, 2> output_size(const std::vector<int64_t>& size, int64_t stride) {
  if (stride == 1) return {size[0], size[1]};
  return {half_up(size[0]), half_up(size[1])};
}

inline void check_size(const char* op, const std::vector<int64_t>& size, int64_t stride) {
  if (size.size() != 2) fail(op, "size must be (H, W), got ", shape_text(size));
  if (size[0] < 1 || size[1] < 1 || size[0] > INT32_MAX || size[1] > INT32_MAX) {
    fail(op, "size must be positive and below 2^31, got ", shape_text(size));
  }
  if (stride != 1 && stride != 2) fail(op, "stride must be 1 or 2, got ", stride);
}

// The gradients of both outputs.
inline void check_gradients(const char* op, const Tensor& dy_high, const Tensor& dy_low,
                            const std::vector<int64_t>& size, int64_t stride) {
  check_size(op, size, stride);
  const auto [height, width] = output_size(size, stride);
  const int64_t batch = dy_high.dim() == 4 ? dy_high.size(0) : 0;
  check_part(op, "dy_high", dy_high, batch, height, width, size);
  check_part(op, "dy_low", dy_low, batch, half_up(height), half_up(width), size);
  check_like(op, "dy_low", dy_low, "dy_high", dy_high);
}

// Of a weight of four dimensions: an odd kernel, and sizes that fit 32 bits.
inline void check_weight_sizes(const char* op, const Tensor& weight) {
  check_sizes(op, "weight", weight.sizes());
  if (weight.size(2) % 2 == 0 || weight.size(3) % 2 == 0) {
    const std::initializer_list<int64_t> kernel_size = {weight.size(2), weight.size(3)};
    fail(op, "kernel_size must be odd, got ", shape_text(kernel_size));
  }
}

inline void check_forward(const char* op, const Part& x_high, const Part& x_low,
                          const Tensor& weight, const Part& bias, int64_t high_out,
                          const std::vector<int64_t>& size, int64_t stride) {
  check_size(op, size, stride);
  if (!x_high && !x_low) fail(op, "one of x_high and x_low must be given, got neither");
  const Tensor& x = x_high ? *x_high : *x_low;
  const char* x_name = x_high ? "x_high" : "x_low";
  check_map(op, x_name, x);
  if (x_high) check_part(op, "x_high", *x_high, x.size(0), size[0], size[1], size);
  if (x_low) {
    check_part(op, "x_low", *x_low, x.size(0), half_up(size[0]), half_up(size[1]), size);
    check_like(op, "x_low", *x_low, x_name, x);
  }
  const int64_t c_in = (x_high ? x_high->size(1) : 0) + (x_low ? x_low->size(1) : 0);
  if (weight.dim() != 4 || weight.size(1) != c_in) {
    fail(op, "weight must be (C_out, ", c_in, ", k_h, k_w), got ", shape_text(weight.sizes()));
  }
  check_weight_sizes(op, weight);
  check_like(op, "weight", weight, x_name, x);
  const int64_t c_out = weight.size(0);
  if (c_in < 1 || c_out < 1) {
    fail(op, "input and output must have at least one channel, got ", c_in, " and ", c_out);
  }
  if (high_out < 0 || high_out > c_out) {
    fail(op, "high_out must be in [0, ", c_out, "], got ", high_out);
  }
  if (!bias) return;
  if (bias->dim() != 1 || bias->size(0) != c_out) {
    fail(op, "bias must be (", c_out, ",), got ", shape_text(bias->sizes()));
  }
  check_like(op, "bias", *bias, x_name, x);
}

}  // namespace octconv
