// octconv_cuda::pool2x2 on the CPU: one pass, parallel over output rows, vectors over channels.
#include <torch/csrc/stable/library.h>

#include <cstring>
#include <type_traits>
#include <vector>

#include "cpu/convert.h"
#include "cpu/resample.h"
#include "cpu/simd.h"
#include "prepare.h"

namespace octconv {
namespace {

// The four pixels of a window; those outside the image point to zeros.
template <typename T>
struct Window {
  const T* pixel[4];
};

// The sum starts from zero and runs row by row: bit for bit that of avg_pool2d.
template <typename T>
OCTCONV_INLINE void pool_channels(const Window<T>& window, T* __restrict out, int64_t first,
                                  int64_t channels, Accumulator<T> scale) {
  const auto [a, b, c, d] = window.pixel;
  for (int64_t i = first; i < channels; ++i) {
    const Accumulator<T> sum =
        Accumulator<T>(0) + widen(a[i]) + widen(b[i]) + widen(c[i]) + widen(d[i]);
    out[i] = narrow<T>(sum * scale);
  }
}

#if defined(__x86_64__)
OCTCONV_F16C void pool_channels_f16c(const Window<Float16>& window, Float16* out, int64_t channels,
                                     float scale) {
  const __m256 factor = _mm256_set1_ps(scale);
  int64_t i = 0;
  for (; i + 8 <= channels; i += 8) {
    __m256 sum = _mm256_setzero_ps();
    for (const Float16* pixel : window.pixel) sum = _mm256_add_ps(sum, load8(pixel + i));
    store8(out + i, _mm256_mul_ps(sum, factor));
  }
  pool_channels(window, out, i, channels, scale);
}
#endif

template <typename T>
OCTCONV_INLINE void pool_window(const Window<T>& window, T* out, int64_t channels,
                                Accumulator<T> scale) {
#if defined(__x86_64__)
  if constexpr (std::is_same_v<T, Float16>) {
    if (has_f16c) return pool_channels_f16c(window, out, channels, scale);
  }
#endif
  pool_channels(window, out, 0, channels, scale);
}

// One output row; `bottom` is null below the last row of an odd height.
template <typename T>
OCTCONV_INLINE void pool_row_body(const T* top, const T* bottom, const T* zeros, T* out,
                                  const Pool2x2Params& p) {
  for (int64_t x = 0; x < p.out_width(); ++x) {
    const bool has_right = 2 * x + 1 < p.width;
    const int64_t left = 2 * x * p.high_stride.pixel, right = left + p.high_stride.pixel;
    const Window<T> window{{top + left, has_right ? top + right : zeros,
                            bottom ? bottom + left : zeros,
                            bottom && has_right ? bottom + right : zeros}};
    const int pixels_inside = (has_right ? 2 : 1) * (bottom ? 2 : 1);
    const Accumulator<T> scale = p.mean ? Accumulator<T>(1) / pixels_inside : Accumulator<T>(1);
    pool_window(window, out + x * p.out_channels(), p.high_channels, scale);
  }
}

OCTCONV_SIMD void pool_row(const float* top, const float* bottom, const float* zeros, float* out,
                           const Pool2x2Params& p) {
  pool_row_body(top, bottom, zeros, out, p);
}
OCTCONV_SIMD void pool_row(const double* top, const double* bottom, const double* zeros,
                           double* out, const Pool2x2Params& p) {
  pool_row_body(top, bottom, zeros, out, p);
}
OCTCONV_SIMD void pool_row(const BFloat16* top, const BFloat16* bottom, const BFloat16* zeros,
                           BFloat16* out, const Pool2x2Params& p) {
  pool_row_body(top, bottom, zeros, out, p);
}
void pool_row(const Float16* top, const Float16* bottom, const Float16* zeros, Float16* out,
              const Pool2x2Params& p) {
  pool_row_body(top, bottom, zeros, out, p);
}

template <typename T>
void pool(const Pool2x2Params& p) {
  const std::vector<T> zeros(p.high_channels);
  const int64_t out_row = int64_t{p.out_width()} * p.out_channels();
  const int64_t rows = int64_t{p.batch} * p.out_height();
  const auto pool_rows = [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / p.out_height(), y = row % p.out_height();
      const T* top =
          static_cast<const T*>(p.high) + n * p.high_stride.batch + 2 * y * p.high_stride.row;
      const T* bottom = 2 * y + 1 < p.height ? top + p.high_stride.row : nullptr;
      T* out = static_cast<T*>(p.out) + row * out_row;
      pool_row(top, bottom, zeros.data(), out, p);
      if (p.low_channels == 0) continue;
      const T* low = static_cast<const T*>(p.low) + n * p.low_stride.batch + y * p.low_stride.row;
      for (int64_t x = 0; x < p.out_width(); ++x) {
        std::memcpy(out + x * p.out_channels() + p.high_channels, low + x * p.low_stride.pixel,
                    p.low_channels * sizeof(T));
      }
    }
  };
  torch::stable::parallel_for(0, rows, rows_per_task(2 * out_row), pool_rows);
}

}  // namespace

Tensor pool2x2_cpu(const Tensor& high, const Part& low, bool mean) {
  const Pool2x2Call call = prepare_pool2x2(high, low, mean);
  dispatch_dtype(high.scalar_type(),
                 [&](auto tag) { pool<typename decltype(tag)::type>(call.params); });
  return call.out;
}

}  // namespace octconv

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CPU, m) {
  m.impl("pool2x2", TORCH_BOX(&octconv::pool2x2_cpu));
}
