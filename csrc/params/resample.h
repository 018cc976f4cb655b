// The parameters of pool2x2 and upsample2x2_, as the CPU code and the kernels read them.
// Plain C++: neither torch nor CUDA is known here.
#pragma once

#include <cstdint>

#include "launch_shape.h"
#include "problem.h"

namespace octconv {

// Strides in elements; channels always lie next to each other.
struct Strides {
  int64_t batch;
  int64_t row;
  int64_t pixel;
};

struct Pool2x2Params {
  const void* high;  // (batch, height, width, high_channels)
  const void* low;   // (batch, half_up(height), half_up(width), low_channels)
  void* out;         // dense: (batch, half_up(height), half_up(width), all channels)
  Strides high_stride;
  Strides low_stride;
  int32_t batch;
  int32_t height;
  int32_t width;
  int32_t high_channels;
  int32_t low_channels;  // 0: there is no low map
  bool mean;

  constexpr int32_t out_height() const { return half_up(height); }
  constexpr int32_t out_width() const { return half_up(width); }
  constexpr int32_t out_channels() const { return high_channels + low_channels; }
};

// Whether every access of pool2x2 can be one of 16 bytes: all bases, strides and channel counts.
inline bool pool2x2_vectorises(const Pool2x2Params& p, int64_t element_bytes) {
  const auto aligned = [&](const void* base, const Strides& stride, int64_t channels) {
    const int64_t elements = stride.batch | stride.row | stride.pixel | channels;
    return ((reinterpret_cast<uintptr_t>(base) | (elements * element_bytes)) & 15) == 0;
  };
  return aligned(p.high, p.high_stride, p.high_channels) &&
         aligned(p.low, p.low_stride, p.low_channels) && aligned(p.out, {}, p.out_channels());
}

// All dense.
struct Pool2x2GradParams {
  const void* dz;  // like pool2x2's out
  void* dx_high;   // like its high and low
  void* dx_low;
  int32_t batch;
  int32_t height;
  int32_t width;
  int32_t high_channels;
  int32_t low_channels;

  constexpr int32_t out_height() const { return half_up(height); }
  constexpr int32_t out_width() const { return half_up(width); }
  constexpr int32_t out_channels() const { return high_channels + low_channels; }
};

// A block makes an output row, or reads one of dz: threads along x the accesses to a pixel, along y
// the pixels.
template <typename Params>
LaunchShape pool2x2_shape(const Params& p, int32_t vector) {
  constexpr uint32_t kThreads = 256;
  const uint32_t accesses = p.out_channels() / vector, pixels = p.out_width();
  const uint32_t threads_x = accesses < kThreads ? accesses : kThreads;
  const uint32_t threads_y = kThreads / threads_x < pixels ? kThreads / threads_x : pixels;
  return {static_cast<uint32_t>(p.batch) * p.out_height(), threads_x, threads_y};
}

struct Upsample2x2Params {
  void* out;        // (batch, height, width, channels)
  const void* low;  // (batch, half_up(height), half_up(width), channels)
  Strides out_stride;
  Strides low_stride;
  int32_t batch;
  int32_t height;
  int32_t width;
  int32_t channels;
  int32_t factor;  // output pixels to a low one, along an axis: 2, or 1 for a plain addition
  bool accumulate;
  bool mean;
};

}  // namespace octconv
