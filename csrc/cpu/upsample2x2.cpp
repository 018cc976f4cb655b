// octconv_cuda::upsample2x2_ on the CPU: one pass, parallel over output rows, vectors over
// channels.
#include <torch/csrc/stable/library.h>

#include <type_traits>

#include "cpu/convert.h"
#include "cpu/resample.h"
#include "cpu/simd.h"
#include "prepare.h"

namespace octconv {
namespace {

template <typename T, bool kAccumulate>
OCTCONV_INLINE void upsample_channels(const T* low, T* __restrict out, int64_t first,
                                      int64_t channels, Accumulator<T> scale) {
  for (int64_t i = first; i < channels; ++i) {
    const Accumulator<T> value = widen(low[i]) * scale;
    out[i] = narrow<T>(kAccumulate ? widen(out[i]) + value : value);
  }
}

#if defined(__x86_64__)
template <bool kAccumulate>
OCTCONV_F16C void upsample_channels_f16c(const Float16* low, Float16* out, int64_t channels,
                                         float scale) {
  const __m256 factor = _mm256_set1_ps(scale);
  int64_t i = 0;
  for (; i + 8 <= channels; i += 8) {
    const __m256 value = _mm256_mul_ps(load8(low + i), factor);
    store8(out + i, kAccumulate ? _mm256_add_ps(load8(out + i), value) : value);
  }
  upsample_channels<Float16, kAccumulate>(low, out, i, channels, scale);
}
#endif

template <typename T, bool kAccumulate>
OCTCONV_INLINE void upsample_pixel(const T* low, T* out, int64_t channels, Accumulator<T> scale) {
#if defined(__x86_64__)
  if constexpr (std::is_same_v<T, Float16>) {
    if (has_f16c) return upsample_channels_f16c<kAccumulate>(low, out, channels, scale);
  }
#endif
  upsample_channels<T, kAccumulate>(low, out, 0, channels, scale);
}

// One output row; `rows_inside` output rows are made of the low row.
template <typename T>
OCTCONV_INLINE void upsample_row_body(const T* low, int rows_inside, T* out,
                                      const Upsample2x2Params& p) {
  for (int64_t x = 0; x < p.width; ++x) {
    const int pixels_inside = rows_inside * (x / 2 * 2 + 1 < p.width ? 2 : 1);
    const Accumulator<T> scale = p.mean ? Accumulator<T>(1) / pixels_inside : Accumulator<T>(1);
    const T* low_pixel = low + x / p.factor * p.low_stride.pixel;
    T* out_pixel = out + x * p.out_stride.pixel;
    if (p.accumulate) {
      upsample_pixel<T, true>(low_pixel, out_pixel, p.channels, scale);
    } else {
      upsample_pixel<T, false>(low_pixel, out_pixel, p.channels, scale);
    }
  }
}

OCTCONV_SIMD void upsample_row(const float* low, int rows_inside, float* out,
                               const Upsample2x2Params& p) {
  upsample_row_body(low, rows_inside, out, p);
}
OCTCONV_SIMD void upsample_row(const double* low, int rows_inside, double* out,
                               const Upsample2x2Params& p) {
  upsample_row_body(low, rows_inside, out, p);
}
OCTCONV_SIMD void upsample_row(const BFloat16* low, int rows_inside, BFloat16* out,
                               const Upsample2x2Params& p) {
  upsample_row_body(low, rows_inside, out, p);
}
void upsample_row(const Float16* low, int rows_inside, Float16* out, const Upsample2x2Params& p) {
  upsample_row_body(low, rows_inside, out, p);
}

template <typename T>
void upsample(const Upsample2x2Params& p) {
  const int64_t rows = int64_t{p.batch} * p.height;
  const auto upsample_rows = [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / p.height, y = row % p.height;
      const T* low =
          static_cast<const T*>(p.low) + n * p.low_stride.batch + y / p.factor * p.low_stride.row;
      T* out = static_cast<T*>(p.out) + n * p.out_stride.batch + y * p.out_stride.row;
      upsample_row(low, y / 2 * 2 + 1 < p.height ? 2 : 1, out, p);
    }
  };
  torch::stable::parallel_for(0, rows, rows_per_task(int64_t{p.width} * p.channels), upsample_rows);
}

}  // namespace

void upsample2x2_cpu_(const Tensor& out, const Tensor& low, bool accumulate, bool mean) {
  const Upsample2x2Call call = prepare_upsample2x2(out, low, accumulate, mean);
  dispatch_dtype(out.scalar_type(),
                 [&](auto tag) { upsample<typename decltype(tag)::type>(call.params); });
  if (!has_dense_channels(out)) {
    const NoGrad no_grad;
    check_call("copy_", aoti_torch_copy_(out.get(), call.out.get(), 0));
  }
}

void accumulate_cpu_(const Tensor& out, const Tensor& part, bool accumulate) {
  const Tensor dense = with_dense_channels(part);
  Upsample2x2Params p = upsample2x2_params(out, dense, 1);
  p.accumulate = accumulate;
  dispatch_dtype(out.scalar_type(), [&](auto tag) { upsample<typename decltype(tag)::type>(p); });
}

}  // namespace octconv

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CPU, m) {
  m.impl("upsample2x2_", TORCH_BOX(&octconv::upsample2x2_cpu_));
}
