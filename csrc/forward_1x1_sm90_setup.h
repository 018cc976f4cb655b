// From a problem and its plan to the parameters of forward_1x1_sm90. Plain C++.
#pragma once

#include <cstdint>

#include "forward_1x1_sm90_params.h"
#include "forward_setup.h"
#include "forward_sm90_setup.h"
#include "problem.h"

namespace octconv {

// The box of at most kJointRows quads of which the fewest cover the problem; the widest of those.
QuadBox fewest_boxes(const Problem& problem);

// Of both inputs together.
int32_t joint_chunks(const Problem& problem);

// The tensors behind the maps of the parameters. Boxes of outputs have a warpgroup's columns.
struct JointViews {
  TensorView in_phase[4], in_low, weight[2][2], out_phase[4], out_low;
};
JointViews joint_views(const Problem& problem, const JointCut& cut,
                       const ForwardPointers& pointers);

// All but the tensor maps.
JointSm90Params joint_sm90_params(const Problem& problem, const JointCut& cut,
                                  const ForwardPointers& pointers);

}  // namespace octconv
