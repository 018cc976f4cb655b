// The parameters of forward_1x1_sm80, and how a problem gives them. Plain C++.
#pragma once

#include <cstdint>

#include "forward_1x1_traits.h"
#include "forward_params.h"
#include "forward_setup.h"
#include "problem.h"

namespace octconv {

// An item is so many quads, in their order over all images, times a range of columns of each part:
// both begin at the same column, and one part may have none left there. Of the parameters of
// forward_sm80 all that tiles, splits and halos ask for is without meaning.
struct Forward1x1Params : ForwardParams {
  int32_t quads;       // of all images
  int32_t tile_quads;  // a multiple of 16
  int32_t tiles_columns;
  int32_t items;
  int32_t stages;
};

// Whether quads and items can be counted in 32 bits and there is something to compute.
bool serves_1x1(const Problem& problem);

Forward1x1Params forward_1x1_params(const Problem& problem, const Forward1x1Limits& limits,
                                    int32_t tile_quads, int32_t stages,
                                    const ForwardPointers& pointers);

}  // namespace octconv
