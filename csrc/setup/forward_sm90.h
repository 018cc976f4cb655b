// From a problem and how it is cut to the parameters of forward_sm90. Plain C++.
#pragma once

#include <cstdint>

#include "params/forward_sm90.h"
#include "problem.h"
#include "setup/forward_sm80.h"
#include "setup/tensor_view.h"

namespace octconv {

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
TensorView weight_view(const Problem& problem, const Sm90Cut& cut, const void* weight, Octave to,
                       Octave from);

// All but the tensor maps.
ForwardSm90Params forward_sm90_params(const Problem& problem, const Sm90Cut& cut,
                                      const ForwardPointers& pointers);

}  // namespace octconv
