#include "bindings.h"
#include "forward.h"

namespace emulation {
namespace {

// numbers: the fields of Problem in their order. shapes: (width, height, splits) of the high and of
// the low tiles, and the stages of rows of the weight. arrays: in_high, in_low, weight, bias,
// channels last each.
py::tuple forward_sm80(const std::string& dtype, const std::string& tiles, const py::tuple& numbers,
                       const py::tuple& shapes, const py::dict& arrays, uint32_t blocks,
                       const py::dict& options) {
  const auto number = [&](int i) { return numbers[i].cast<int32_t>(); };
  const Problem problem{number(0), number(1), number(2), number(3), number(4),
                        number(5), number(6), number(7), number(8), number(9) != 0};
  const RunForward& run = dtype == "bfloat16"  ? forward_bfloat16
                          : dtype == "float16" ? forward_float16
                                               : forward_tfloat32;
  return run(tiles, problem, shapes, arrays, blocks, options);
}

}  // namespace

void bind_forward(py::module_& module) { module.def("forward_sm80", &forward_sm80); }

}  // namespace emulation
