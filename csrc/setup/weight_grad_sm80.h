// From a problem and the shape of its pixel tiles to the parameters of the weight gradient's
// kernels. Plain C++.
#pragma once

#include <array>
#include <cstdint>

#include "params/weight_grad_sm80.h"
#include "problem.h"
#include "traits/weight_grad_sm80.h"

namespace octconv {

// The shape of one job's pixel tiles, and how many blocks share those of each tile of the weight.
struct PixelTile {
  int32_t width, height;
  int32_t splits;
  int32_t images = 1;  // whose pixels lie one behind the other; others go on into the next image
};
using PixelTiles = std::array<PixelTile, kJobs>;  // of the jobs that are there

// What the kernels read and write.
struct WeightGradPointers {
  const void* x_high;
  const void* x_low;
  const void* dy_high;
  const void* dy_low;
  void* dweight;  // (rows, columns) x taps, by strides
  void* dbias;    // or null: it is not asked for
  WeightStrides strides;
  bool wide_output;  // both are float32, whatever the others are
};

// For plans, in which nothing is read: of a call with all maps that asks for dbias.
WeightGradPointers pointers_of_plan();

// All but partial_sums. The problem is that of the operator forward.
WeightGradParams weight_grad_params(const Problem& problem, const WeightGradLimits& limits,
                                    const PixelTiles& tiles, const WeightGradPointers& pointers);

// Where the items of each job begin, and their partial sums.
void number_items(WeightGradParams& params);

// The bytes of shared memory that a stage of one job takes.
int32_t stage_bytes_of(const WeightGradJob& job);

}  // namespace octconv
