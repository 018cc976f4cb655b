// The parameters of forward_1x1_sm90, as the host makes them and the kernel reads them. Plain C++.
#pragma once

#include <cstdint>

#include "params/activation.h"
#include "params/forward_sm90.h"
#include "traits/forward_1x1_sm90.h"

namespace octconv {

// How a launch is cut. An item is a box of at most 64 quads for each group of rows x the columns of
// all groups of columns.
struct JointCut {
  int32_t columns;                    // of each octave, of a warpgroup
  int32_t row_groups, column_groups;  // 2 and 1, or 1 and 2: one for each warpgroup that multiplies
  QuadBox box;
  int32_t boxes, slots;  // buffers in shared memory: of the inputs, of the weight
  bool weights_stay;     // one load of the weight serves all items of a block
  int32_t splits;        // blocks that share an item: a cluster, which has but this one then
  int32_t sharers;       // blocks of a cluster that share the weight, 1 or kSharers; then no splits

  constexpr int32_t cluster() const { return splits * sharers; }
};

// Items of the same quads follow each other. Images of an even height are one image, one below the
// other.
struct JointSm90Params {
  TensorMap in[kPlanes], out[kPlanes], residual[kPlanes];
  TensorMap weight[2][2];        // to an octave of the output, from one of the input
  const void* bias;              // null, or one for each output channel, high ones first
  int32_t batch, height, width;  // pixels
  int32_t channels_in[2], channels_out[2];
  QuadBox box;
  int32_t across, down, columns;  // boxes of an image, and ranges of columns
  int32_t items;                  // of clusters: boxes for each of the sharers
  int32_t boxes, slots;
  bool weights_stay;
  int32_t splits, sharers;
  SplitChunks chunks;
  uint32_t units;   // of a cluster's first block
  uint32_t absent;  // a bit for each phase that no quad has
  // Of inference: activation((sum + bias) * scale + shift + residual). Else scale is null, and no
  // residual is there.
  const float* scale;  // one for each output channel as of shift: high ones, then low ones
  const float* shift;
  bool has_residual[2];
  Activation activation;
};

}  // namespace octconv
