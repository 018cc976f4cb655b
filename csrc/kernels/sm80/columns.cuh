// Which columns of a product a lane has the sums of.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

namespace octconv {

// A group of n8 tiles gives each lane two sums of every tile. Where the weight's columns lie in
// shared memory as they are in rows of this order, they are of columns beside each other:
template <typename Traits>
__device__ __forceinline__ int32_t row_column(int32_t row) {
  constexpr int kGroup = Traits::kGroup, kColumns = Traits::kGroupColumns;
  if (!Traits::kPermutes) return row;
  const int32_t tile = row % kColumns / 8, in_tile = row % 8;
  return row / kColumns * kColumns + in_tile / 2 * 2 * kGroup + tile * 2 + in_tile % 2;
}
// The column of a lane's first sum in tile n.
template <typename Traits>
__device__ __forceinline__ int32_t sum_column(int n) {
  const int32_t in_quarter = ptx::lane() % 4;
  if (!Traits::kPermutes) return 8 * n + 2 * in_quarter;
  return n / Traits::kGroup * Traits::kGroupColumns + in_quarter * 2 * Traits::kGroup +
         n % Traits::kGroup * 2;
}

}  // namespace octconv
