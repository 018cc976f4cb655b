// From the sums of a weight gradient's warps to the weight: the sums of groups of warps, and the
// stores, of results or of what another launch adds up.
#pragma once

#include <cmath>
#include <cstdint>
#include <device/ptx.cuh>

#include "grad_products.cuh"
#include "kernels/grad_output.cuh"
#include "params/weight_grad_sm80.h"

namespace octconv {

// Adds the sums of dy of a pixel tile to those of all before it. What that rounds off goes into the
// next addition (Kahan, "Further remarks on reducing truncation errors", 1965): sums of many pixels
// show it in float32.
template <typename Traits>
__device__ __forceinline__ void add_compensated(BiasSums<Traits>& sum, BiasSums<Traits>& excess,
                                                const BiasSums<Traits>& of_tile) {
#pragma unroll
  for (int i = 0; i < 2 * Traits::kTilesM; ++i) {
    float &total = sum[i / 2][i % 2], &rest = excess[i / 2][i % 2];
    const float term = of_tile[i / 2][i % 2] - rest, before = total;
    total = before + term;
    rest = (total - before) - term;
    if (!(fabsf(rest) < INFINITY)) rest = 0;  // infinite sums stay so
  }
}

// All groups' sums into those of the first group, in a fixed order. `memory` is nobody's any more.
template <typename Traits>
__device__ __forceinline__ void add_groups(GradSums<Traits>& sum, int32_t group, uint32_t memory) {
  constexpr int kGroupThreads = Traits::kThreads / Traits::kGroups;
  const int32_t thread = ptx::thread_x() % kGroupThreads;
#pragma unroll
  for (int half = Traits::kGroups / 2; half > 0; half /= 2) {
    // Visits the four sums of each product with their address in the slot of `slot`.
    const auto visit = [&](int32_t slot, const auto& act) {
      const uint32_t at = memory + slot * Traits::kGroupBytes + thread * 16;
      int index = 0;
#pragma unroll
      for (int r = 0; r < Traits::kTapRows; ++r) {
#pragma unroll
        for (int s = 0; s < Traits::kTaps; ++s) {
#pragma unroll
          for (int m = 0; m < Traits::kTilesM; ++m) {
#pragma unroll
            for (int n = 0; n < Traits::kTilesN; ++n) {
              act(sum[r][s][m][n], at + index++ * kGroupThreads * 16);
            }
          }
        }
      }
    };
    ptx::sync_block();
    if (group >= half && group < 2 * half) {
      visit(group - half, [](const float (&four)[4], uint32_t address) {
        ptx::Word128 word;
        for (int i = 0; i < 4; ++i) word.word[i] = ptx::as_bits(four[i]);
        ptx::store_shared(address, word);
      });
    }
    ptx::sync_block();
    if (group < half) {
      visit(group, [](float (&four)[4], uint32_t address) {
        ptx::Word128 word;
        ptx::load_shared(word, address);
        for (int i = 0; i < 4; ++i) four[i] += ptx::as_float(word.word[i]);
      });
    }
  }
}

// `to`: what the tile's first row, tap and column go to. Rows, taps along an axis and columns from
// the given ones on are not stored.
template <typename Traits>
__device__ __forceinline__ void store_sums(const GradSums<Traits>& sum,
                                           const GradOutput<typename Traits::T>& to, int32_t rows,
                                           int32_t taps, int32_t columns) {
  static_assert(Traits::kLeastTaps == Traits::kMostTaps || Traits::kTapRows == 1);
  const int32_t warp = ptx::thread_x() / 32;
  const int32_t first_row =
      warp / Traits::kWarpsN % Traits::kWarpsM * 16 * Traits::kTilesM + ptx::lane() / 4;
  const int32_t first_column = warp % Traits::kWarpsN * 8 * Traits::kTilesN + ptx::lane() % 4 * 2;
  to.with_pairs([&](const auto& store_pair) {
#pragma unroll
    for (int i = 0; i < 2 * Traits::kTilesM; ++i) {  // rows of eight
      const int32_t row = first_row + 8 * i;
      char* of_tap = to.at(row, 0, first_column);
#pragma unroll
      for (int tap = 0; tap < Traits::kTapRows * Traits::kTaps; ++tap, of_tap += to.bytes.tap) {
        if (tap % Traits::kTaps >= taps) break;
#pragma unroll
        for (int n = 0; n < Traits::kTilesN; ++n) {
          const float (&four)[4] = sum[tap / Traits::kTaps][tap % Traits::kTaps][i / 2][n];
          store_pair(row < rows && first_column + 8 * n < columns, of_tap + 8 * n * to.bytes.column,
                     four[i % 2 * 2], four[i % 2 * 2 + 1]);
        }
      }
    }
  });
}

// The sum of dy of row `thread` of the tile, from those that the warps have of their pixels.
template <typename Traits>
__device__ __forceinline__ float add_bias(const BiasSums<Traits>& bias, uint32_t memory) {
  constexpr int kShares = Traits::kWarpsN * Traits::kGroups;
  const int32_t warp = ptx::thread_x() / 32;
  const int32_t warp_m = warp / Traits::kWarpsN % Traits::kWarpsM;
  const int32_t share =
      warp / (Traits::kWarpsN * Traits::kWarpsM) * Traits::kWarpsN + warp % Traits::kWarpsN;
  ptx::sync_block();
#pragma unroll
  for (int i = 0; i < 2 * Traits::kTilesM; ++i) {
    uint32_t bits = ptx::as_bits(bias[i / 2][i % 2]);
    for (const uint32_t other : {1, 2}) {  // the four lanes that have other pixels of the row
      bits = ptx::as_bits(ptx::as_float(bits) + ptx::as_float(ptx::shuffle_xor(bits, other)));
    }
    const int32_t row = warp_m * 16 * Traits::kTilesM + 8 * i + ptx::lane() / 4;
    if (ptx::lane() % 4 == 0) {
      ptx::store_shared(memory + (share * Traits::kRows + row) * 4, bits);
    }
  }
  ptx::sync_block();
  float sum = 0;
  if (ptx::thread_x() < Traits::kRows) {
    for (int i = 0; i < kShares; ++i) {
      uint32_t bits;
      ptx::load_shared(bits, memory + (i * Traits::kRows + ptx::thread_x()) * 4);
      sum += ptx::as_float(bits);
    }
  }
  return sum;
}

}  // namespace octconv
