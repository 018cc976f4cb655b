// How the blocks of a cluster share the chunks of channels of a tile. Plain C++.
#pragma once

#include <cstdint>

#include "params/forward_sm90.h"
#include "problem.h"
#include "traits/forward_sm90.h"

namespace octconv {

// What a chunk of the high input costs a tile of either octave, next to one of the low input: the
// products of four phases, or pooling.
constexpr int32_t high_chunk_cost(Octave tile) { return tile == kHigh ? 4 : 2; }

// Those of a split of a tile: about its part of all costs, in order, the low input's chunks first.
constexpr ChunkRange split_chunks(const int32_t (&channels)[2], Octave tile, int32_t split,
                                  int32_t splits) {
  const int32_t low_chunks = divide_up(channels[kLow], kSm90Chunk);
  const int32_t high_chunks = divide_up(channels[kHigh], kSm90Chunk);
  const int32_t high_cost = high_chunk_cost(tile);
  ChunkRange range{};
  for (int32_t i = 0; i < 2; ++i) {
    const int32_t cost = (low_chunks + high_cost * high_chunks) * (split + i) / splits;
    const int32_t low = cost < low_chunks ? cost : low_chunks;
    (i == 0 ? range.begin : range.end)[kLow] = low;
    (i == 0 ? range.begin : range.end)[kHigh] = (cost - low + high_cost / 2) / high_cost;
  }
  return range;
}

constexpr void share_chunks(SplitChunks& chunks, const int32_t (&channels)[2], Octave tile,
                            int32_t splits) {
  for (int32_t split = 0; split < splits; ++split) {
    chunks[split] = split_chunks(channels, tile, split, splits);
  }
}

}  // namespace octconv
