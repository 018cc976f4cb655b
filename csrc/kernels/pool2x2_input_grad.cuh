// pool2x2_input_grad: from the gradient of pool2x2's result to those of high and low. Blocks and
// threads are pool2x2's.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>

#include "pool2x2.cuh"

namespace octconv {

template <typename Traits>
__global__ void pool2x2_input_grad(const Pool2x2GradParams p) {
  using T = typename Traits::Element;
  using Word = typename Traits::Word;
  constexpr int kVector = Traits::kVector;

  const int64_t row = ptx::block_x();
  const uint32_t n = ptx::block_x() / p.out_height();
  const int32_t y = ptx::block_x() - n * p.out_height();
  const bool has_bottom = 2 * y + 1 < p.height;
  const T* dz = static_cast<const T*>(p.dz) + row * p.out_width() * p.out_channels();
  T* low = static_cast<T*>(p.dx_low) + row * p.out_width() * p.low_channels;
  T* high =
      static_cast<T*>(p.dx_high) + (int64_t{n} * p.height + 2 * y) * p.width * p.high_channels;
  const int64_t below = int64_t{p.width} * p.high_channels;

  for (int32_t x = ptx::thread_y(); x < p.out_width(); x += ptx::threads_y()) {
    const bool has_right = 2 * x + 1 < p.width;
    const auto share = Accumulator<T>((has_right ? 0.5 : 1) * (has_bottom ? 0.5 : 1));
    for (int32_t c = ptx::thread_x() * kVector; c < p.out_channels();
         c += ptx::threads_x() * kVector) {
      Word word;
      ptx::load_constant(word, dz + int64_t{x} * p.out_channels() + c);
      if (c >= p.high_channels) {
        ptx::store_global(low + int64_t{x} * p.low_channels + (c - p.high_channels), word);
        continue;
      }
      T pixel[kVector];
      memcpy(pixel, &word, sizeof(word));
      for (int i = 0; i < kVector; ++i) {
        ptx::narrow(pixel[i], ptx::widen(pixel[i]) * share);
      }
      memcpy(&word, pixel, sizeof(word));
      T* to = high + int64_t{2} * x * p.high_channels + c;
      ptx::store_global(to, word);
      if (has_right) ptx::store_global(to + p.high_channels, word);
      if (has_bottom) ptx::store_global(to + below, word);
      if (has_right && has_bottom) ptx::store_global(to + below + p.high_channels, word);
    }
  }
}

}  // namespace octconv
