// From a problem and its plan to the parameters of weight_grad_1x1_sm90. Plain C++.
#pragma once

#include "params/weight_grad_1x1_sm90.h"
#include "problem.h"
#include "setup/forward_1x1_sm90.h"
#include "setup/weight_grad_1x1_sm80.h"

namespace octconv {

// The box of kJointGradQuads quads of which the fewest cover the problem; the widest of those.
QuadBox grad_box(const Problem& problem);

// As weight_grad_params; all but the tensor maps, too.
JointGradSm90Params joint_grad_sm90_params(const Problem& problem, const JointGradSm90Cut& cut,
                                           const WeightGradPointers& pointers);

// The tensors behind the maps of dy and x.
struct JointGradViews {
  PlaneViews dy, x;
};
JointGradViews joint_grad_views(const Problem& problem, const JointGradSm90Cut& cut,
                                const WeightGradPointers& pointers);

}  // namespace octconv
