// From a problem and its plan to the parameters of forward_sm90. Plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

#include "params/forward_sm90.h"
#include "plan/forward_sm90.h"
#include "problem.h"
#include "setup/forward_sm80.h"

namespace octconv {

// A tensor of 16-bit elements, innermost dimension first, and the box of it that a copy takes: what
// a tensor map is made from.
struct TensorView {
  const void* address;
  int32_t rank;
  uint64_t sizes[5], strides[4];  // bytes, of all but the innermost
  uint32_t box[5];
  bool swizzled = true;  // in shared memory, as products read it

  // Of an absent part: no map can be made from it, and nothing is copied by one.
  bool empty() const { return std::find(sizes, sizes + rank, 0u) != sizes + rank; }
};

// The tiles of an octave's output, `columns` channels each.
Sm90Tiles sm90_tiles(const Problem& problem, int32_t geometry, Octave octave, int32_t columns);

// All views but weight_view take the problem as_convolution. What high tiles read of a phase of the
// high input, and tiles of either octave of the low input.
TensorView phase_view(const Problem& problem, int32_t geometry, const void* high_input, int phase);
TensorView low_view(const Problem& problem, int32_t geometry, const void* low_input, Octave tiles);

// What low tiles pool: pixels of the high input as they lie.
TensorView strip_view(const Problem& problem, int32_t geometry, const void* high_input);

// 32 rows of a tap of the weight, from an octave of the input to one of the output. Its dimensions
// permute the rows such that a thread has 8 neighbouring channels: see kernels/sm90/sums.cuh. Of
// the input gradient, 64 columns or 32, which are what comes out, and 64 rows, as they lie.
TensorView weight_view(const Problem& problem, const PlanSm90& plan, const void* weight, Octave to,
                       Octave from);

// All but the tensor maps.
ForwardSm90Params forward_sm90_params(const Problem& problem, const PlanSm90& plan,
                                      const ForwardPointers& pointers);

}  // namespace octconv
