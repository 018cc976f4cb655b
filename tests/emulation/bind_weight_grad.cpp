#include "bindings.h"
#include "weight_grad.h"

namespace emulation {
namespace {

// numbers: the fields of Problem in their order but for the last. shapes: (width, height, splits)
// of the pixel tiles of W_HH, W_LH, W_HL and W_LL. arrays: x_high, x_low, dy_high, dy_low, channels
// last each. The counters are those of the products' launch; launches counts both.
py::tuple weight_grad_sm80(const std::string& dtype, const std::string& tiles,
                           const py::tuple& numbers, const py::tuple& shapes,
                           const py::dict& arrays, bool channels_last, bool wide_output,
                           int32_t shared_limit, const py::dict& options) {
  const auto number = [&](int i) { return numbers[i].cast<int32_t>(); };
  const Problem problem{number(0), number(1), number(2), number(3), number(4),
                        number(5), number(6), number(7), number(8), false};
  PixelTiles pixel_tiles;
  for (int i = 0; i < octconv::kJobs; ++i) {
    const auto shape = shapes[i].cast<py::tuple>();
    pixel_tiles[i] = {shape[0].cast<int32_t>(), shape[1].cast<int32_t>(), shape[2].cast<int32_t>()};
  }
  const RunWeightGrad& run = dtype == "bfloat16"  ? weight_grad_bfloat16
                             : dtype == "float16" ? weight_grad_float16
                                                  : weight_grad_tfloat32;
  return run(tiles,
             {problem, pixel_tiles, arrays, channels_last, wide_output, shared_limit, options});
}

}  // namespace

void bind_weight_grad(py::module_& module) { module.def("weight_grad_sm80", &weight_grad_sm80); }

}  // namespace emulation
