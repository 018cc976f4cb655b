// pool2x2 and its gradient on CUDA devices, as other operators call them.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>

#include "tensor.h"

namespace octconv {

Tensor pool2x2_cuda(const Tensor& high, const Part& low, bool mean);

// z = [pool(high); low]; absent parts have no channels or are null.
inline Tensor pooled(const Part& high, const Part& low) {
  if (!high || high->size(1) == 0) return *low;
  return pool2x2_cuda(*high, low && low->size(1) > 0 ? low : std::nullopt, true);
}

// For the operator `op`: the gradients of high, (N, high_channels, height, width), and of low, from
// a dense dz. Each pixel of high gets its share of the mean.
std::tuple<Tensor, Tensor> pool2x2_input_grad(const char* op, const Tensor& dz,
                                              int64_t high_channels, int64_t height, int64_t width);

}  // namespace octconv
