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
  Sm90Cut cut{};
  cut.geometry = shape[0].cast<int32_t>();
  for (const Octave octave : {kHigh, kLow}) {
    cut.columns[octave] = shape[1 + octave].cast<int32_t>();
    cut.tiles[octave] = sm90_tiles(problem, cut.geometry, octave, cut.columns[octave]);
  }
  cut.splits = shape[3].cast<int32_t>();
  if (cut.splits > 1) {
    cut.low_blocks = cut.tiles[kLow].items * cut.splits;
    cut.blocks = cut.tiles[kHigh].items * cut.splits + cut.low_blocks;
  } else {
    cut.blocks = blocks[0].cast<int32_t>();
    cut.low_blocks = blocks[1].cast<int32_t>();
    if (blocks.size() > 2) cut.late_items = blocks[2].cast<int32_t>();
    cut.late_items = std::min(cut.late_items, cut.tiles[kHigh].items);
  }
  RunForwardSm90& run = dtype == "bfloat16" ? forward_sm90_bfloat16 : forward_sm90_float16;
  return run(problem, cut, arrays, options);
}

}  // namespace

void bind_forward_sm90(Module& module) { module.add<&forward_sm90>("forward_sm90"); }

}  // namespace emulation
