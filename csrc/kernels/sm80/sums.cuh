// Where the sums of a warp begin, and the sums of split tiles.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>
#include <type_traits>

#include "columns.cuh"
#include "params/forward_sm80.h"
#include "products.cuh"
#include "turns.cuh"

namespace octconv {

template <typename T>
__device__ __forceinline__ float load_element(const void* base, int64_t index) {
  std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t> bits;
  ptx::load_constant(bits, static_cast<const T*>(base) + index);
  return ptx::widen(T{bits});
}

// The sums of one m16 tile begin with the bias of its columns, or with zeros.
template <typename Tile>
__device__ __forceinline__ void begin_tile(float (&sum)[Tile::kTilesN][4], const ForwardParams& p,
                                           const Program& program, int32_t first_column,
                                           bool with_bias) {
#pragma unroll
  for (int n = 0; n < Tile::kTilesN; ++n) {
    for (int i = 0; i < 4; ++i) sum[n][i] = 0;
  }
  if (!with_bias || !p.bias) return;
#pragma unroll
  for (int n = 0; n < Tile::kTilesN; ++n) {
    const int32_t column = first_column + sum_column<Tile>(n);
    if (column >= program.columns) continue;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      sum[n][i] = sum[n][i + 2] =
          load_element<typename Tile::T>(p.bias, program.first_column + column + i);
    }
  }
}

// Adds the sums of all splits of a tile, in the order of the splits; only the block that comes last
// does, and is told so by the result.
template <typename Tile>
__device__ __forceinline__ bool add_splits(Sums<Tile>& sum, const ForwardParams& p,
                                           const Program& program, int32_t tile, int32_t split,
                                           uint32_t ticket) {
  // High tiles come first, each with its splits; (split, m, n, thread) of four sums each.
  const int64_t before = Tile::kHigh ? 0 : int64_t{p.high.items()};
  const int64_t arrival = Tile::kHigh ? tile : int64_t{p.high.tiles()} + tile;
  const auto at = [&](int32_t of_split, int m, int n) {
    const int64_t item = before + int64_t{tile} * program.splits + of_split;
    return p.partial_sums +
           (((item * Tile::kTilesM + m) * Tile::kTilesN + n) * Tile::kMultiplierThreads +
            ptx::thread_x()) *
               4;
  };
#pragma unroll
  for (int m = 0; m < Tile::kTilesM; ++m) {
#pragma unroll
    for (int n = 0; n < Tile::kTilesN; ++n) {
      ptx::Word128 word;
      for (int i = 0; i < 4; ++i) word.word[i] = ptx::as_bits(sum[m][n][i]);
      ptx::store_global(at(split, m, n), word);
    }
  }
  sync_multipliers<Tile>();  // the atomic releases what its thread has seen: all threads' sums
  if (ptx::thread_x() == 0) ptx::store_shared(ticket, ptx::atomic_add(p.arrivals + arrival, 1));
  sync_multipliers<Tile>();
  uint32_t arrived;
  ptx::load_shared(arrived, ticket);
  if (static_cast<int32_t>(arrived) + 1 != program.splits) return false;
#pragma unroll
  for (int m = 0; m < Tile::kTilesM; ++m) {
#pragma unroll
    for (int n = 0; n < Tile::kTilesN; ++n) {
      for (int i = 0; i < 4; ++i) sum[m][n][i] = 0;
    }
#pragma unroll 1
    for (int32_t s = 0; s < program.splits; ++s) {
      ptx::Word128 word[Tile::kTilesN];  // all loads of a row of tiles are under way together
#pragma unroll
      for (int n = 0; n < Tile::kTilesN; ++n) ptx::load_global(word[n], at(s, m, n));
#pragma unroll
      for (int n = 0; n < Tile::kTilesN; ++n) {
        for (int i = 0; i < 4; ++i) sum[m][n][i] += ptx::as_float(word[n].word[i]);
      }
    }
  }
  return true;
}

}  // namespace octconv
