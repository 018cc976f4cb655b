// What inference does to the sums of forward_1x1_sm90: activation(sum * scale + shift + residual).
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>

#include "joint_multiply.cuh"
#include "kernels/sm80/epilogue.cuh"

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

// Scales 8 columns of a lane's two rows and adds two words of the residual.
template <typename T>
__device__ __forceinline__ void finish_columns(float* sum, const PairOf<float>& factor,
                                               const PairOf<float>& term,
                                               const uint32_t* residual) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    PairOf<T> addend;
    memcpy(&addend, residual + row, sizeof addend);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float& value = sum[2 * row + i];
      value = value * factor.element[i] + term.element[i] + ptx::widen(addend.element[i]);
    }
  }
}

// The sums of an octave's columns from `column` on. Each group of columns has a box of the
// residual.
template <typename Traits>
__device__ __forceinline__ void finish_joint(const JointSm90Params& p,
                                             float (&sum)[Traits::kColumns / 2], Octave octave,
                                             int32_t column, BufferRing& boxes) {
  constexpr int kVectors = Traits::kColumns / 8;
  const int32_t group = column / Traits::kColumns % Traits::kColumnGroups;
  const int32_t row_group = Traits::kRowGroups == 2 ? ptx::thread_x() / 128 - 1 : 0;
  uint32_t residual[2 * kVectors] = {};
  if (p.has_residual[octave]) {
    const StagedRow<Traits> row;
#pragma unroll 1
    for (int i = 0; i < Traits::kColumnGroups; ++i) {
      ptx::wait_barrier(boxes.full(), boxes.parity);
      if (i == group) {
        const uint32_t box = boxes.buffer() + row_group * Traits::kGroupBox;
#pragma unroll
        for (int j = 0; j < kVectors; j += 2) {
          uint32_t words[4];
          ptx::load_matrix(words, row.at(box, j));
#pragma unroll
          for (int n = 0; n < 4; ++n) residual[2 * j + n] = words[n];
        }
      }
      release(boxes.empty());
      boxes.advance();
    }
  }
  const int32_t first = column + 2 * static_cast<int32_t>(ptx::lane() % 4);
  const int32_t before = octave == kLow ? p.channels_out[kHigh] : 0;
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    PairOf<float> factor{}, term{};
    if (first + 8 * j < p.channels_out[octave]) {
      factor = load_pair(p.scale + before + first + 8 * j);
      term = load_pair(p.shift + before + first + 8 * j);
    }
    finish_columns<typename Traits::T>(sum + 4 * j, factor, term, residual + 2 * j);
  }
  activate(sum, p.activation);
}

}  // namespace octconv::sm90
