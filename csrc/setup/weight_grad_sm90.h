// From a problem and its plan to the parameters of weight_grad_sm90. Plain C++.
#pragma once

#include <cstdint>

#include "params/weight_grad_sm90.h"
#include "problem.h"
#include "setup/forward_sm90.h"
#include "setup/weight_grad_sm80.h"

namespace octconv {

// How a problem is cut up: channels along the sides of tiles, and the pixel tiles of all jobs.
struct GradSm90Cut {
  int32_t tile;
  PixelTiles pixel_tiles;
};

// As weight_grad_params; all but the tensor maps, too.
WeightGradSm90Params weight_grad_sm90_params(const Problem& problem, const GradSm90Cut& cut,
                                             const WeightGradPointers& pointers);

// The tensors behind the maps of a job's operands.
struct GradSm90Views {
  TensorView fixed, shifted;
};
GradSm90Views weight_grad_views(const WeightGradSm90Params& params, int job);

}  // namespace octconv
