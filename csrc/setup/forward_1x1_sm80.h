// From a problem and the size of its tiles to the parameters of forward_1x1_sm80. Plain C++.
#pragma once

#include <cstdint>

#include "params/forward_1x1_sm80.h"
#include "problem.h"
#include "setup/forward_sm80.h"
#include "traits/forward_1x1_sm80.h"

namespace octconv {

// Whether the kernel is made for the problem, and quads and items can be counted in 32 bits.
bool serves_1x1(const Problem& problem);

// The quads of a tile are a multiple of 16.
struct JointShape {
  int32_t quads, stages;
};

Forward1x1Params forward_1x1_params(const Problem& problem, const Forward1x1Limits& limits,
                                    const JointShape& shape, const ForwardPointers& pointers);

}  // namespace octconv
