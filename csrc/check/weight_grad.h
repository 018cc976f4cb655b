// The checks of octconv_cuda::weight_grad where a kernel of this library serves it.
#pragma once

#include <vector>

#include "check/check.h"
#include "check/forward.h"

namespace octconv {

inline void check_weight_grad(const char* op, const Part& x_high, const Part& x_low,
                              const Tensor& dy_high, const Tensor& dy_low,
                              const std::vector<int64_t>& size,
                              const std::vector<int64_t>& kernel_size, int64_t stride) {
  check_gradients(op, dy_high, dy_low, size, stride);
  const int64_t batch = dy_high.size(0);
  if (!x_high && !x_low) fail(op, "one of x_high and x_low must be given, got neither");
  if (x_high) {
    check_part(op, "x_high", *x_high, batch, size[0], size[1], size);
    check_like(op, "x_high", *x_high, "dy_high", dy_high);
  }
  if (x_low) {
    check_part(op, "x_low", *x_low, batch, half_up(size[0]), half_up(size[1]), size);
    check_like(op, "x_low", *x_low, "dy_high", dy_high);
  }
  if (kernel_size.size() != 2 || kernel_size[0] < 1 || kernel_size[1] < 1 ||
      kernel_size[0] % 2 == 0 || kernel_size[1] % 2 == 0) {
    fail(op, "kernel_size must be two odd numbers, got ", shape_text(kernel_size));
  }
  if (dy_high.size(1) + dy_low.size(1) < 1) fail(op, "dy must have at least one channel, got none");
  if ((x_high ? x_high->size(1) : 0) + (x_low ? x_low->size(1) : 0) < 1) {
    fail(op, "x must have at least one channel, got none");
  }
}

}  // namespace octconv
