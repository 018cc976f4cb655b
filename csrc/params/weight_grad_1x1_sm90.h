// The parameters of weight_grad_1x1_sm90. Plain C++.
#pragma once

#include <cstdint>

#include "params/forward_sm90.h"
#include "params/weight_grad_sm80.h"
#include "traits/forward_sm90.h"

namespace octconv {

// How a launch is cut: into tiles of so many rows and columns of each octave, whose boxes of quads
// blocks share in turns.
struct JointGradSm90Cut {
  int32_t rows, columns;
  QuadBox box;  // powers of two
  int32_t splits;
};

// The jobs are as those of weight_grad_sm80, but that one block does the same tile of all of them,
// for the same split, and that no factor is left for their sums. Images of an even height are one
// image, one below the other.
struct JointGradSm90Params : WeightGradParams {
  TensorMap dy[5], x[5];  // the phases of the high map, and the low one
  int32_t height, width;  // pixels
  QuadBox box;
  int32_t width_bits;           // of the box: its base-2 logarithm
  int32_t across, down, boxes;  // of an image, and of all
  int32_t splits;
  int32_t tiles_across, tiles;  // of the weight: along the columns, and in all
  uint32_t absent;              // a bit for each phase that no quad has

  constexpr int32_t blocks() const { return tiles * splits; }
};

}  // namespace octconv
