// From a problem to the parameters of weight_grad_1x1_sm80. Plain C++.
#pragma once

#include <cstdint>

#include "params/weight_grad_1x1_sm80.h"
#include "problem.h"
#include "setup/weight_grad_sm80.h"
#include "traits/weight_grad_1x1_sm80.h"

namespace octconv {

// Whether the kernel covers a problem, of the operator forward: all four blocks must be there.
bool serves_joint_grad(const Problem& problem);

// The stages of a block, and how many blocks share the quads of each tile of the weight. In plans
// it stands for the PixelTile of each job: (quads of a stage, stages, splits).
struct JointGradShape {
  int32_t stages, splits;

  static JointGradShape of(const PixelTiles& tiles) { return {tiles[0].height, tiles[0].splits}; }
  PixelTiles pixel_tiles(const JointGradLimits& limits) const;
};

// As weight_grad_params, of kernels for one tap: with the same pixel tiles of all jobs.
JointGradTiles joint_grad_tiles(const Problem& problem, const WeightGradLimits& limits,
                                const PixelTile& tile, const WeightGradPointers& pointers);

// As weight_grad_params.
JointGradParams joint_grad_params(const Problem& problem, const JointGradLimits& limits,
                                  const JointGradShape& shape, const WeightGradPointers& pointers);

// The most stages of so many bytes of shared memory; 0: too few for the kernel.
int32_t joint_grad_stages(const JointGradLimits& limits, int32_t shared_bytes);

}  // namespace octconv
