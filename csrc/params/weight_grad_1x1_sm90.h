// The parameters of weight_grad_1x1_sm90. Plain C++.
#pragma once

#include <cstdint>

#include "params/forward_sm90.h"
#include "params/weight_grad_1x1_sm80.h"
#include "traits/forward_1x1_sm90.h"

namespace octconv {

// How a launch is cut: into tiles of so many rows and columns of each octave, whose boxes of quads
// blocks share in turns.
struct JointGradSm90Cut {
  int32_t rows, columns;
  QuadBox box;  // powers of two
  int32_t splits;
};

// Images of an even height are one image, one below the other.
struct JointGradSm90Params : JointGradTiles {
  TensorMap dy[kPlanes], x[kPlanes];
  int32_t height, width;  // pixels
  QuadBox box;
  int32_t width_bits;           // of the box: its base-2 logarithm
  int32_t across, down, boxes;  // of an image, and of all
  uint32_t absent;              // a bit for each phase that no quad has
};

}  // namespace octconv
