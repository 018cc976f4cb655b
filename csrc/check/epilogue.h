// The checks of what octconv_cuda::inference takes beyond octconv_cuda::forward.
#pragma once

#include <vector>

#include "check/check.h"
#include "check/forward.h"

namespace octconv {

inline void check_epilogue(const Tensor& scale, const Tensor& shift, const Part& residual_high,
                           const Part& residual_low, int64_t activation, const Tensor& weight,
                           int64_t high_out, int64_t batch, const std::vector<int64_t>& size,
                           int64_t stride) {
  const char* op = "inference";
  const auto check_factors = [&](const char* name, const Tensor& factors) {
    if (factors.dim() != 1 || factors.size(0) != weight.size(0) ||
        factors.scalar_type() != ScalarType::Float) {
      fail(op, name, " must be float32 (", weight.size(0), ",), got ",
           dtype_text(factors.scalar_type()), " ", shape_text(factors.sizes()));
    }
    if (device_text(factors) != device_text(weight)) {
      fail(op, name, " must be on ", device_text(weight), " like the weight, got ",
           device_text(factors));
    }
    check_storage(op, name, factors);
  };
  check_factors("scale", scale);
  check_factors("shift", shift);
  const auto [height, width] = output_size(size, stride);
  const auto check_residual = [&](const char* name, const Part& residual, int64_t channels,
                                  int64_t rows, int64_t columns) {
    if (!residual) return;
    check_part(op, name, *residual, batch, rows, columns, size);
    if (residual->size(1) != channels) {
      fail(op, name, " must have ", channels, " channels like the output, got ",
           shape_text(residual->sizes()));
    }
    check_like(op, name, *residual, "the weight", weight);
  };
  check_residual("residual_high", residual_high, high_out, height, width);
  check_residual("residual_low", residual_low, weight.size(0) - high_out, half_up(height),
                 half_up(width));
  if (activation < 0 || activation > 2) {
    fail(op, "activation must be 0 (none), 1 (ReLU) or 2 (SiLU), got ", activation);
  }
}

}  // namespace octconv
