// The parameters of weight_grad_1x1_sm80. Plain C++.
#pragma once

#include <cstdint>

#include "params/weight_grad_sm80.h"

namespace octconv {

// The jobs are as those of weight_grad_sm80, but that one block does the same tile of all of them,
// and for the same split.
struct JointGradTiles : WeightGradParams {
  int32_t splits;
  int32_t tiles_across, tiles;  // of the weight: along the columns, and in all

  constexpr int32_t blocks() const { return tiles * splits; }
};

// Of x and dy only the maps that are not pooled are read.
struct JointGradParams : JointGradTiles {
  int32_t height, width, quad_height, quad_width;  // of the high maps, of the low ones
  int32_t quads;                                   // of all images
  int32_t quad_tiles;
  int32_t stages;  // of a block
  Divisor by_quad_height, by_quad_width;

  constexpr const PixelMap& dy(bool low) const { return job[low ? kLowToLow : kHighToHigh].dy; }
  constexpr const PixelMap& x(bool low) const { return job[low ? kLowToLow : kHighToHigh].x; }
};

}  // namespace octconv
