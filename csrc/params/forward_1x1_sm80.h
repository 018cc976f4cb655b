// The parameters of forward_1x1_sm80, as the host makes them and the kernel reads them. Plain C++.
#pragma once

#include <cstdint>

#include "params/forward_sm80.h"

namespace octconv {

// An item is so many quads, in their order over all images, times a range of columns of each part:
// both begin at the same column, and one part may have none left there. Of the parameters of
// forward_sm80, all that is about tiles, splits and halos is without meaning.
struct Forward1x1Params : ForwardParams {
  int32_t quads;       // of all images
  int32_t tile_quads;  // a multiple of 16
  int32_t tiles_columns;
  int32_t items;
  int32_t stages;
  Divisor by_tiles_columns, by_quad_width;
};

}  // namespace octconv
