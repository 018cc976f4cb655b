// From a problem and its plan to the parameters of forward_1x1_sm90. Plain C++.
#pragma once

#include <cstdint>

#include "forward_1x1_sm90_params.h"
#include "forward_setup.h"
#include "forward_sm90_setup.h"
#include "problem.h"

namespace octconv {

// How a launch is cut. columns: of a warpgroup, of each octave.
struct JointCut {
  int32_t columns;
  int32_t row_groups, column_groups;  // of a block: 2 and 1, or 1 and 2
  QuadBox box;
  int32_t boxes, slots;
};

// The box of at most kJointRows quads of which the fewest cover the problem; the widest of those.
QuadBox fewest_boxes(const Problem& problem);

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
