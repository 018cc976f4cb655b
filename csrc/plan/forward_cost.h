// What the tiles of the portable forward kernels do, counted from the loops in kernels/sm80, and
// how long that takes by a model of the GPU. Plain C++.
#pragma once

#include <cstdint>

#include "params/forward_sm80.h"
#include "plan/device_facts.h"
#include "traits/forward_sm80.h"

namespace octconv {

// An instantiation of the kernel, as numbers.
struct Instance {
  ForwardLimits limits;
  bool transposed;
  int32_t tiles_m, tiles_n;  // m16 and n8 tiles of a warp
  constexpr int32_t taps() const { return 2 * limits.padding + 1; }
  constexpr int32_t warps() const { return limits.threads / 32 - kLoaderWarps; }  // that multiply
};

template <typename Traits>
constexpr Instance instance_of(int32_t taps) {
  return {limits_of<Traits>(taps), Traits::kTransposed, Traits::kTilesM, Traits::kTilesN};
}

// Instructions count once for a warp. Sums over all items of a launch are exact, bytes too but for
// taps that reach over a whole tile; each item gets the mean of its kind.
struct TileCost {
  int64_t hmma, ldmatrix, word_loads, copies;
  // Of shared memory. Tiles that cross a border between images have a few more, by conflicts.
  int64_t ldmatrix_wavefronts;
  int64_t fill_wavefronts;           // of copies and of pooled stores
  double read_bytes, written_bytes;  // of the second-level cache
  // Clocks: of each unit, were the others endless; from begin to end, alone on a multiprocessor.
  double mma_clocks, shared_clocks, l2_clocks, clocks;
  double load_clocks;   // of the warps that load
  double start_clocks;  // until the first chunk is there; of a block's first item alone

  double busy() const;  // of the unit that has the most to do
};

// Of an item: split `split` of a high or a low tile.
TileCost tile_cost(const Instance& instance, const DeviceFacts& device, const ForwardParams& params,
                   bool high, int32_t split);

}  // namespace octconv
