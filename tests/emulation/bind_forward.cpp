#include "forward.h"

namespace emulation {
namespace {

// numbers: the fields of Problem in their order. shapes: (width, height, splits) of the high and of
// the low tiles, and the stages of rows of the weight. arrays: in_high, in_low, weight, bias,
// channels last each.
Value forward_sm80(const std::string& dtype, const std::string& tiles, const Value& numbers,
                   const Value& shapes, const Value& arrays, uint32_t blocks,
                   const Value& options) {
  const Problem problem = problem_of(numbers);
  RunForward& run = dtype == "bfloat16"  ? forward_bfloat16
                    : dtype == "float16" ? forward_float16
                                         : forward_tfloat32;
  return run(tiles, problem, shapes, arrays, blocks, options);
}

}  // namespace

void bind_forward(Module& module) { module.add<&forward_sm80>("forward_sm80"); }

}  // namespace emulation
