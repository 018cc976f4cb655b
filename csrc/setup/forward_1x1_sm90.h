// From a problem and its plan to the parameters of forward_1x1_sm90. Plain C++.
#pragma once

#include <array>
#include <cstdint>

#include "params/forward_1x1_sm90.h"
#include "problem.h"
#include "setup/forward_sm80.h"
#include "setup/forward_sm90.h"

namespace octconv {

// Pixels have no neighbours here: images whose rows come in pairs are one image.
Problem stacked(Problem problem);

// That cover the quads of a problem.
int64_t boxes_of(const Problem& problem, const QuadBox& box);

// A bit for each phase that no quad of a problem has.
uint32_t absent_phases(const Problem& problem);

// Of a high and a low map with so many channels. A phase that is absent has the first one's pixels:
// copies begin behind its last image.
using PlaneViews = std::array<TensorView, kPlanes>;
PlaneViews plane_views(const Problem& problem, const void* high, const void* low,
                       const std::array<int32_t, 2>& channels, int32_t box_channels,
                       const QuadBox& box);

// The box of at most so many quads of which the fewest cover the problem; the widest of those.
QuadBox fewest_boxes(const Problem& problem, int32_t most_quads = kJointRows);

// Of both inputs together.
int32_t joint_chunks(const Problem& problem);

// The tensors behind the maps of the parameters. Boxes of outputs, and of the residuals that are
// like them, have a warpgroup's columns.
struct JointViews {
  PlaneViews in, out, residual;
  TensorView weight[2][2];
};
JointViews joint_views(const Problem& problem, const JointCut& cut,
                       const ForwardPointers& pointers);

// All but the tensor maps.
JointSm90Params joint_sm90_params(const Problem& problem, const JointCut& cut,
                                  const ForwardPointers& pointers);

}  // namespace octconv
