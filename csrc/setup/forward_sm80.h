// From a problem and the shape of its tiles to the parameters of the kernel. Plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

#include "params/forward_sm80.h"
#include "problem.h"
#include "traits/forward_sm80.h"

namespace octconv {

// The shape of one kind of tile, in quads, and how many blocks share the channels of each.
struct TileShape {
  int32_t width, height;
  int32_t splits;
};

// What inference adds: activation((sum + bias) * scale + shift + residual). Without scale there is
// none of it.
struct Epilogue {
  const float* scale = nullptr;  // one for each output channel, as shift
  const float* shift = nullptr;
  const void* residual_high = nullptr;  // null, or like out_high
  const void* residual_low = nullptr;
  Activation activation = Activation::kNone;
};

// What the kernels read and write. Of the input gradient the inputs are dy, the outputs dx.
struct ForwardPointers {
  const void* in_high;
  const void* in_low;
  const void* weight;  // (high_out + low_out, taps, high_in + low_in), dense
  const void* bias;
  void* out_high;
  void* out_low;
  Epilogue epilogue = {};
};

// The bytes of a halo of either kind in shared memory, its rows of all planes, and the cells of
// one.
struct HaloExtent {
  int64_t bytes;
  int32_t rows, cells;
};
HaloExtent halo_extent(const Program& program, const Segment& segment, int32_t padding);
int32_t halo_bytes(const Program& program, int32_t padding);  // that hold each of its halos

// All but the workspace, the arrivals and the rotation of the blocks, which are not set.
ForwardParams forward_params(const Problem& problem, const ForwardLimits& limits,
                             const TileShape& high, const TileShape& low, int32_t weight_stages,
                             const ForwardPointers& pointers);

// Rows of taps in shared memory: at most one more than a chunk has, since there are two halos.
constexpr int32_t most_weight_stages(const ForwardLimits& limits) {
  return std::min(2 * limits.padding + 2, kMostWeightStages);
}

// Of a block, in bytes.
int32_t shared_bytes(const ForwardLimits& limits, int32_t halo_bytes, int32_t weight_stages);

}  // namespace octconv
