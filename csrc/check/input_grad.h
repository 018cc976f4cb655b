// The checks of octconv_cuda::input_grad where a kernel of this library serves it.
#pragma once

#include <vector>

#include "check/check.h"
#include "check/forward.h"

namespace octconv {

inline void check_input_grad(const char* op, const Tensor& dy_high, const Tensor& dy_low,
                             const Tensor& weight, int64_t high_in,
                             const std::vector<int64_t>& size, int64_t stride) {
  check_gradients(op, dy_high, dy_low, size, stride);
  const int64_t c_out = dy_high.size(1) + dy_low.size(1);
  if (weight.dim() != 4 || weight.size(0) != c_out || weight.size(1) < 1) {
    fail(op, "weight must be (", c_out, ", C_in, k_h, k_w), got ", shape_text(weight.sizes()));
  }
  check_weight_sizes(op, weight);
  check_like(op, "weight", weight, "dy_high", dy_high);
  if (high_in < 0 || high_in > weight.size(1)) {
    fail(op, "high_in must be in [0, ", weight.size(1), "], got ", high_in);
  }
}

}  // namespace octconv
