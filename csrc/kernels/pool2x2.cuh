// pool2x2: out = [pool(high) ; low] in one pass. A block makes one output row; in it threads along
// x take vectors of channels and threads along y take pixels, so a warp touches whole runs of
// memory and nothing has to be divided but the row's index.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>
#include <type_traits>

#include "dtype.h"
#include "params/resample.h"

namespace octconv {

// What one access moves: kElements neighbouring channels of T, as the machine word that fits.
template <typename T, int kElements>
struct Pool2x2Traits {
  static constexpr int kVector = kElements;
  using Element = T;
  using Word = std::conditional_t<
      sizeof(T) * kElements == 16, ptx::Word128,
      std::conditional_t<sizeof(T) == 8, uint64_t,
                         std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>>;
  static_assert(sizeof(Word) == sizeof(T) * kElements);
};

template <typename Traits>
__device__ __forceinline__ void add_pixel(Accumulator<typename Traits::Element>* sum,
                                          const typename Traits::Word& word) {
  typename Traits::Element pixel[Traits::kVector];
  memcpy(pixel, &word, sizeof(word));
  for (int i = 0; i < Traits::kVector; ++i) sum[i] += ptx::widen(pixel[i]);
}

template <typename Traits>
__global__ void pool2x2(const Pool2x2Params p) {
  using T = typename Traits::Element;
  using Word = typename Traits::Word;
  constexpr int kVector = Traits::kVector;

  const uint32_t n = ptx::block_x() / p.out_height();
  const int32_t y = ptx::block_x() - n * p.out_height();
  const T* high =
      static_cast<const T*>(p.high) + n * p.high_stride.batch + 2 * y * p.high_stride.row;
  const T* low = static_cast<const T*>(p.low) + n * p.low_stride.batch + y * p.low_stride.row;
  T* out = static_cast<T*>(p.out) + int64_t{ptx::block_x()} * p.out_width() * p.out_channels();
  const bool has_bottom = 2 * y + 1 < p.height;

  for (int32_t x = ptx::thread_y(); x < p.out_width(); x += ptx::threads_y()) {
    const bool has_right = 2 * x + 1 < p.width;
    const T* left = high + 2 * x * p.high_stride.pixel;
    const T* right = left + p.high_stride.pixel;
    for (int64_t c = int64_t{ptx::thread_x()} * kVector; c < p.out_channels();
         c += ptx::threads_x() * kVector) {
      T* to = out + int64_t{x} * p.out_channels() + c;
      Word word;
      if (c >= p.high_channels) {
        ptx::load_constant(word, low + x * p.low_stride.pixel + (c - p.high_channels));
        ptx::store_global(to, word);
        continue;
      }
      // All loads come first. Pixels outside the image count as zeros.
      Word a, b{}, d{}, e{};
      ptx::load_constant(a, left + c);
      if (has_right) ptx::load_constant(b, right + c);
      if (has_bottom) ptx::load_constant(d, left + p.high_stride.row + c);
      if (has_right && has_bottom) ptx::load_constant(e, right + p.high_stride.row + c);

      Accumulator<T> sum[kVector] = {};
      add_pixel<Traits>(sum, a);
      add_pixel<Traits>(sum, b);
      add_pixel<Traits>(sum, d);
      add_pixel<Traits>(sum, e);
      // One over the number of pixels inside, without a division.
      Accumulator<T> scale = 1;
      if (p.mean && has_right) scale *= Accumulator<T>(0.5);
      if (p.mean && has_bottom) scale *= Accumulator<T>(0.5);
      T result[kVector];
      for (int i = 0; i < kVector; ++i) ptx::narrow(result[i], sum[i] * scale);
      memcpy(&word, result, sizeof(word));
      ptx::store_global(to, word);
    }
  }
}

}  // namespace octconv
