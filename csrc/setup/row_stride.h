// How rows of cells lie in shared memory. Plain C++.
#pragma once

#include <cstdint>

namespace octconv {

// The least stride of rows of `cells` cells at which the pixels of a tile, counted on from row to
// row, lie in the banks as if they were one line of cells: then ldmatrix meets no conflict.
constexpr int32_t row_stride(int32_t cells, int32_t tile_width, int32_t pitch) {
  const int32_t least = cells * pitch;
  return least + (((tile_width * pitch - least) % 128) + 128) % 128;
}

}  // namespace octconv
