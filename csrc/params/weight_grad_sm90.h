// The parameters of weight_grad_sm90. Plain C++.
#pragma once

#include <cstdint>

#include "params/forward_sm90.h"
#include "params/weight_grad_sm80.h"

namespace octconv {

// At stride 1, whether one of the operands lies in pixels and the other one in quads.
constexpr bool pools_sm90(int job) { return of_low_rows(job) != of_low_columns(job); }

// What a job has beside that of weight_grad_sm80. The fixed operand is dy, and the shifted one x;
// but where x is pooled, they are the other way round, and taps shift dy the other way.
struct GradSm90Job {
  bool pools, turned;
  // The last row and column of quads where those have one row or column of pixels, else -1: their
  // mean is of fewer pixels.
  int32_t single_row, single_column;
  int32_t images, tiles_down;  // of a pixel tile; of pixel tiles
  int32_t shifted_offset, stage_bytes, stages;
};

// The jobs are as those of weight_grad_sm80, but for their pixel tiles, which lie in images, and
// for the bias of the low rows, which comes with W_LL.
struct WeightGradSm90Params : WeightGradParams {
  TensorMap fixed[kJobs], shifted[kJobs];
  GradSm90Job more[kJobs];
};

}  // namespace octconv
