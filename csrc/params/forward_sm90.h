// The parameters of forward_sm90, as the host makes them and the kernel reads them. Plain C++:
// neither torch nor CUDA is known here.
#pragma once

#include <cstdint>

#include "params/activation.h"
#include "params/divisor.h"

namespace octconv {

// What the driver makes of a tensor's address, strides and box: a CUtensorMap.
struct alignas(128) TensorMap {
  uint64_t words[16];
};

enum Octave : int32_t { kHigh, kLow };

// The tiles of one octave's output: a rectangle of quads of one or several images x a range of
// channels, which runs fastest.
struct Sm90Tiles {
  Divisor across, down, columns;
  int32_t items;
  bool weights_stay;  // one load of the weight serves all tiles of a block
};

// How a launch is cut.
struct Sm90Cut {
  int32_t geometry;    // of kSm90Geometries
  int32_t columns[2];  // of a tile of either octave
  Sm90Tiles tiles[2];
  int32_t blocks, low_blocks;
  int32_t late_items;  // high tiles that blocks take which have done their low ones
  int32_t splits;      // of a tile: the blocks of a cluster
};

// Chunks of the channels of both inputs.
struct ChunkRange {
  int32_t begin[2], end[2];

  constexpr int32_t count(Octave octave) const { return end[octave] - begin[octave]; }
};

// The blocks of a cluster share the chunks of a tile: a power of two, at most so many, which GPUs
// with clusters can launch, but for small parts of one; and by rank the chunks of each, of which it
// may have none.
constexpr int32_t kMostSplits = 8;
using SplitChunks = ChunkRange[kMostSplits];

// A bit for each unit of a tile's sums that a cluster's first block stores: every `splits`th. Each
// of the other blocks stores the next ones.
constexpr uint32_t first_units(int32_t splits) { return UINT32_MAX / ((1u << splits) - 1); }

struct ForwardSm90Params {
  TensorMap phase[4];      // of the high input, the pixels 2Y + dy, 2X + dx of phase 2 dy + dx
  TensorMap low_input[2];  // with the boxes of high and of low tiles
  TensorMap strip;         // of the high input
  TensorMap weight[2][2];  // to an octave of the output, from one of the input
  const void* bias;        // null, or one for each output channel, high ones first
  void* output[2];
  int32_t batch;
  int32_t height[2], width[2];  // of both octaves; the low ones count quads
  int32_t channels_in[2], channels_out[2];
  Sm90Tiles tiles[2];
  int32_t low_columns;    // of a low tile, which the kernel has
  int32_t low_clusters;   // the clusters that take low tiles; all others take high ones
  int32_t late_items;     // the last high tiles: those of clusters that have done their low ones
  int32_t splits;         // blocks of a cluster; with more than one, each takes one tile
  SplitChunks chunks[2];  // by the octave of a tile
  uint32_t units;         // of a cluster's first block
  // Of inference: activation((sum + bias) * scale + shift + residual). Else scale is null.
  const float* scale;  // one for each output channel as of shift: high ones, then low ones
  const float* shift;
  const void* residual[2];  // null or like output
  Activation activation;
};

}  // namespace octconv
