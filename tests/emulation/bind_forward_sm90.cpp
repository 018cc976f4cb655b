#include <algorithm>

#include "forward_sm90.h"

namespace emulation {
namespace {

// As forward_sm80 of bind_forward.cpp, but for the shape: the index of the geometry, of high and of
// low tiles the columns, and the splits. low_blocks of the blocks take low tiles, and then the last
// late_items of the high ones; of tiles that are split there is a cluster for each.
Value forward_sm90(const std::string& dtype, const std::string&, const Value& numbers,
                   const Value& shape, const Value& arrays, const Value& blocks,
                   const Value& options) {
  const Problem problem = problem_of(numbers);
  PlanSm90 plan{};
  plan.geometry = shape[0].cast<int32_t>();
  for (const Octave octave : {kHigh, kLow}) {
    plan.columns[octave] = shape[1 + octave].cast<int32_t>();
    plan.tiles[octave] = sm90_tiles(problem, plan.geometry, octave, plan.columns[octave]);
  }
  plan.splits = shape[3].cast<int32_t>();
  if (plan.splits > 1) {
    plan.low_blocks = plan.tiles[kLow].items * plan.splits;
    plan.blocks = plan.tiles[kHigh].items * plan.splits + plan.low_blocks;
  } else {
    plan.blocks = blocks[0].cast<int32_t>();
    plan.low_blocks = blocks[1].cast<int32_t>();
    if (blocks.size() > 2) plan.late_items = blocks[2].cast<int32_t>();
    plan.late_items = std::min(plan.late_items, plan.tiles[kHigh].items);
  }
  const RunForwardSm90& run = dtype == "bfloat16" ? forward_sm90_bfloat16 : forward_sm90_float16;
  return run(problem, plan, arrays, options);
}

}  // namespace

void bind_forward_sm90(Module& module) { module.add<&forward_sm90>("forward_sm90"); }

}  // namespace emulation
