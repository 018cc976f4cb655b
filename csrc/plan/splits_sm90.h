// Tiles whose chunks of channels the blocks of a cluster share, where there are too few tiles for
// all multiprocessors. Plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

#include "plan/device_facts.h"
#include "problem.h"
#include "setup/splits_sm90.h"
#include "traits/forward_sm90.h"

namespace octconv {

// Of the time without it: what other things on trial must be expected to take.
constexpr double kWorthwhile = 0.99;

// Of adding up. Not measured: the rate is published for clusters of two on an H100, of all
// multiprocessors at once (Luo et al. 2024, Benchmarking and Dissecting the Nvidia Hopper GPU).
constexpr double kClusterClocks = 2000;  // two barriers, and to write the sums
constexpr double kClusterBytes = 14;     // that a block reads of others in a clock

// Clocks to add up the splits of a tile whose sums are so many bytes in each block.
constexpr double split_clocks(int32_t splits, double bytes) {
  if (splits == 1) return 0;
  return kClusterClocks + bytes * (splits - 1) / splits / kClusterBytes;
}

// A problem with the input channels that a split of its tiles has.
inline Problem split_of(Problem p, Octave tile, int32_t split, int32_t splits) {
  int32_t* const inputs[] = {p.input_grad ? &p.high_out : &p.high_in,
                             p.input_grad ? &p.low_out : &p.low_in};
  const ChunkRange range = split_chunks({*inputs[kHigh], *inputs[kLow]}, tile, split, splits);
  for (const Octave octave : {kHigh, kLow}) {
    const int32_t end = std::min(*inputs[octave], range.end[octave] * kSm90Chunk);
    *inputs[octave] = std::max(end - range.begin[octave] * kSm90Chunk, 0);
  }
  return p;
}

// Whether all clusters find room at once, though some multiprocessors are in groups that clusters
// do not fill.
constexpr bool have_room(int32_t tiles, int32_t splits, const DeviceFacts& device) {
  return int64_t{tiles} * splits <= device.multiprocessors * 7 / 8;
}

// The clocks of the split that takes longest, of what clocks(problem) says.
template <typename Clocks>
double longest_split(const Problem& p, Octave tile, int32_t splits, const Clocks& clocks) {
  double longest = 0;
  for (int32_t split = 0; split < splits; ++split) {
    longest = std::max(longest, clocks(split_of(p, tile, split, splits)));
  }
  return longest;
}

}  // namespace octconv
