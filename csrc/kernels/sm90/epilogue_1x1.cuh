// What inference does to the sums of forward_1x1_sm90: activation(sum * scale + shift + residual).
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "kernels/epilogue.cuh"
#include "multiply_1x1.cuh"

namespace octconv::sm90 {

// The row of 16 bytes that a lane names when its warp stores or loads matrices of staged results,
// in the swizzle of a row's bytes.
template <typename Traits>
struct StagedRow {
  static constexpr int kBytes = 2 * Traits::kColumns;
  uint32_t row, vector;

  __device__ __forceinline__ StagedRow() {
    const uint32_t in_matrix = ptx::lane() % 8, matrix = ptx::lane() / 8;
    row = ptx::thread_x() / 32 % 4 * 16 + matrix % 2 * 8 + in_matrix;
    vector = matrix / 2 ^ (kBytes == 128 ? in_matrix : in_matrix / 2);
  }
  // For columns 8j to 8j + 15, j even.
  __device__ __forceinline__ uint32_t at(uint32_t staging, int j) const {
    return staging + row * kBytes + (vector ^ j) * 16;
  }
};

// Scale and shift of a lane's columns of an octave.
template <typename Traits>
struct JointFactors {
  static constexpr int kPairs = Traits::kColumns / 8;
  PairOf<float> scale[kPairs], shift[kPairs];

  __device__ __forceinline__ void load(const JointSm90Params& p, Octave octave, int32_t column) {
    const int32_t first = column + 2 * static_cast<int32_t>(ptx::lane() % 4);
    const int32_t before = octave == kLow ? p.channels_out[kHigh] : 0;
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      scale[j] = shift[j] = {};
      if (first + 8 * j >= p.channels_out[octave]) continue;
      scale[j] = load_pair(p.scale + before + first + 8 * j);
      shift[j] = load_pair(p.shift + before + first + 8 * j);
    }
  }
};

// Adds the residual of the columns from `column` on, of which each group of columns has a box.
template <typename Traits>
__device__ __forceinline__ void add_joint_residual(float (&sum)[Traits::kColumns / 2],
                                                   int32_t column, BufferRing& boxes) {
  using T = typename Traits::T;
  const int32_t group = column / Traits::kColumns % Traits::kColumnGroups;
  const int32_t row_group = Traits::kRowGroups == 2 ? ptx::thread_x() / 128 - 1 : 0;
  const StagedRow<Traits> row;
#pragma unroll 1
  for (int i = 0; i < Traits::kColumnGroups; ++i) {
    ptx::wait_barrier(boxes.full(), boxes.parity);
    if (i == group) {
      const uint32_t box = boxes.buffer() + row_group * Traits::kGroupBox;
#pragma unroll
      for (int j = 0; j < Traits::kColumns / 8; j += 2) {
        uint32_t words[4];
        ptx::load_matrix(words, row.at(box, j));
#pragma unroll
        for (int n = 0; n < 4; ++n) {
          PairOf<T> addend;
          memcpy(&addend, &words[n], sizeof addend);
          sum[4 * j + 2 * n] += ptx::widen(addend.element[0]);
          sum[4 * j + 2 * n + 1] += ptx::widen(addend.element[1]);
        }
      }
    }
    hand_over(boxes.empty());
    boxes.advance();
  }
}

// The sums of an octave's columns from `column` on.
template <typename Traits>
__device__ __forceinline__ void finish_joint(const JointSm90Params& p,
                                             float (&sum)[Traits::kColumns / 2], Octave octave,
                                             int32_t column, const JointFactors<Traits>& factors,
                                             BufferRing& boxes) {
#pragma unroll
  for (int i = 0; i < Traits::kColumns / 2; ++i) {
    sum[i] = sum[i] * factors.scale[i / 4].element[i % 2] + factors.shift[i / 4].element[i % 2];
  }
  if (p.has_residual[octave]) add_joint_residual<Traits>(sum, column, boxes);
  activate(sum, p.activation);
}

}  // namespace octconv::sm90
