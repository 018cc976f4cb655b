// What is to be computed, in numbers: the operator forward, its input gradient or its weight
// gradient. Plain C++: neither torch nor CUDA is known here.
#pragma once

#include <cstdint>

namespace octconv {

constexpr int32_t divide_up(int64_t a, int64_t b) { return static_cast<int32_t>((a + b - 1) / b); }
template <typename Int>
constexpr Int half_up(Int size) {
  return size / 2 + size % 2;
}

struct Problem {
  int32_t batch;
  int32_t height, width;  // of the high input, whether it is there or not
  int32_t high_in, low_in;
  int32_t high_out, low_out;
  int32_t kernel;   // 1, 3, 5 or 7, along both axes
  int32_t stride;   // 1 or 2
  bool input_grad;  // from (dy_high, dy_low) to (dx_high, dx_low); else forward

  // The grid that the convolutions run on, that of the high output; the quads on it.
  constexpr int32_t grid_height() const { return stride == 1 ? height : half_up(height); }
  constexpr int32_t grid_width() const { return stride == 1 ? width : half_up(width); }
  constexpr int32_t quad_height() const { return half_up(grid_height()); }
  constexpr int32_t quad_width() const { return half_up(grid_width()); }
};

// The convolution that is done: at stride 1 the input gradient is that of dy, which comes in, to
// dx, which comes out, by the weight transposed.
constexpr Problem as_convolution(Problem p) {
  if (!p.input_grad) return p;
  return {p.batch,   p.height, p.width,  p.high_out, p.low_out,
          p.high_in, p.low_in, p.kernel, p.stride,   false};
}

// At stride 2 the layer is the one at stride 1 of z = [pool(x_high); x_low], without a low part.
constexpr Problem of_pooled(Problem p) {
  p.height = p.grid_height(), p.width = p.grid_width();
  p.high_in += p.low_in, p.low_in = 0;
  p.stride = 1;
  return p;
}

}  // namespace octconv
