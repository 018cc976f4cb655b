// Where the sums of forward_1x1_sm90 begin and what becomes of them between its inputs. Sums 4j +
// 2h and the next are those of row 8h + lane / 4 of the warp's 16, columns 8j + 2 (lane % 4).
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "multiply_1x1.cuh"

namespace octconv::sm90 {

// Sums of an octave begin with the bias, once among all splits.
template <typename T, int kSums>
__device__ __forceinline__ void begin_joint(float (&sum)[kSums], const JointSm90Params& p,
                                            Octave octave, int32_t column) {
#pragma unroll
  for (int i = 0; i < kSums; ++i) sum[i] = 0.0f;
  if (!p.bias || (p.splits > 1 && ptx::cluster_rank() > 0)) return;
  column += 2 * static_cast<int32_t>(ptx::lane() % 4);
  const T* bias = static_cast<const T*>(p.bias) + (octave == kLow ? p.channels_out[kHigh] : 0);
#pragma unroll
  for (int j = 0; j < kSums / 4; ++j) {
    if (column + 8 * j >= p.channels_out[octave]) continue;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      T value;
      ptx::load_global(value.bits, bias + column + 8 * j + i);
      sum[4 * j + i] = sum[4 * j + 2 + i] = ptx::widen(value);
    }
  }
}

// One over the pixels that the quads of a lane's two rows have.
__device__ __forceinline__ void find_shares(float (&share)[2], const JointSm90Params& p,
                                            const JointItem& item) {
  share[0] = share[1] = 0.25f;
  if ((p.height | p.width) % 2 == 0) return;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int32_t quad = ptx::thread_x() / 32 % 4 * 16 + half * 8 + ptx::lane() / 4;
    const int32_t row = quad / p.box.width;
    const int32_t x = item.x + quad - row * p.box.width, y = item.y + row % p.box.height;
    share[half] = octconv::share(p.height - 2 * y, p.width - 2 * x);
  }
}

template <int kSums>
__device__ __forceinline__ void scale_rows(float (&sum)[kSums], const float (&factor)[2]) {
#pragma unroll
  for (int i = 0; i < kSums; ++i) sum[i] *= factor[i / 2 % 2];
}

// Behind the low input all phases begin with what the low pixel gave; in the input gradient that is
// divided by the pixels that are there. Else the low sums go on as a multiple of the mean.
template <typename Traits>
__device__ __forceinline__ void spread_low(JointSums<Traits>& sum, const float (&share)[2]) {
  const float pixels[2] = {ptx::reciprocal_approximate(share[0]),
                           ptx::reciprocal_approximate(share[1])};
  if constexpr (Traits::kTransposed) {
    scale_rows(sum[kLastPhase], share);
  } else {
    scale_rows(sum[kLowPlane], pixels);
  }
#pragma unroll
  for (int i = 0; i < Traits::kColumns / 2; ++i) {
    sum[0][i] = sum[1][i] = sum[2][i] = sum[kLastPhase][i];
  }
}

}  // namespace octconv::sm90
