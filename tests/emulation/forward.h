// Runs forward_sm80 for one element type; the types are compiled in files of their own, side by
// side.
#pragma once

#include <string>
#include <type_traits>

#include "bindings.h"
#include "forward_setup.h"
#include "kernels/forward_sm80.cuh"

namespace emulation {

using octconv::ForwardParams;
using octconv::Problem;
using octconv::TileShape;

template <typename Traits>
py::tuple run(const Problem& problem, const py::tuple& shapes, const py::dict& arrays,
              uint32_t blocks, const py::dict& options) {
  using T = typename Traits::T;
  using Number = std::conditional_t<sizeof(T) == 2, uint16_t, float>;
  Device device(options_from(options));
  octconv::ForwardPointers pointers{};
  pointers.in_high = input(device, "in_high", arrays["in_high"]);
  pointers.in_low = input(device, "in_low", arrays["in_low"]);
  pointers.weight = input(device, "weight", arrays["weight"]);
  pointers.bias = arrays.contains("bias") ? input(device, "bias", arrays["bias"]) : nullptr;
  const auto optional = [&](const char* name) {
    return arrays.contains(name) ? input(device, name, arrays[name]) : nullptr;
  };
  octconv::Epilogue& epilogue = pointers.epilogue;
  epilogue.scale = static_cast<const float*>(optional("scale"));
  epilogue.shift = static_cast<const float*>(optional("shift"));
  epilogue.residual_high = optional("residual_high");
  epilogue.residual_low = optional("residual_low");
  if (arrays.contains("activation")) {
    epilogue.activation = static_cast<octconv::Activation>(arrays["activation"].cast<int>());
  }
  const size_t high_pixels = size_t(problem.batch) *
                             (problem.input_grad ? problem.height : problem.grid_height()) *
                             (problem.input_grad ? problem.width : problem.grid_width());
  const size_t low_pixels =
      size_t(problem.batch) *
      (problem.input_grad ? octconv::half_up(problem.height) : problem.quad_height()) *
      (problem.input_grad ? octconv::half_up(problem.width) : problem.quad_width());
  const size_t high_size = high_pixels * (problem.input_grad ? problem.high_in : problem.high_out);
  const size_t low_size = low_pixels * (problem.input_grad ? problem.low_in : problem.low_out);
  pointers.out_high = device.output("out_high", high_size * sizeof(T));
  pointers.out_low = device.output("out_low", low_size * sizeof(T));

  const octconv::ForwardLimits limits = octconv::limits_of<Traits>();
  const auto shape_of = [&](int i) {
    const auto shape = shapes[i].cast<py::tuple>();
    return TileShape{shape[0].cast<int32_t>(), shape[1].cast<int32_t>(), shape[2].cast<int32_t>()};
  };
  const auto stages = shapes[2].cast<int32_t>();
  ForwardParams p = forward_params(problem, limits, shape_of(0), shape_of(1), stages, pointers);
  p.rotation = blocks / 2;
  if (p.high.splits > 1 || p.low.splits > 1) {
    const size_t items = p.high.items() + p.low.items();
    p.partial_sums =
        static_cast<float*>(device.workspace("partial_sums", items * limits.sums * sizeof(float)));
    p.arrivals = static_cast<uint32_t*>(
        device.zeros("arrivals", (p.high.tiles() + p.low.tiles()) * sizeof(uint32_t)));
  }
  device.launch(octconv::forward_sm80<Traits>,
                {blocks, Traits::kThreads, 1, uint32_t(shared_bytes(limits, p.halo_bytes, p.weight_stages))},
                p);
  device.check_outputs();
  return py::make_tuple(copy_out<Number>(pointers.out_high, high_size),
                        copy_out<Number>(pointers.out_low, low_size), to_dict(device.counters()));
}

template <typename T, int kKernel, bool kTransposed, bool kEpilogue>
py::tuple with_tiles(const std::string& tiles, const Problem& problem, const py::tuple& shapes,
                     const py::dict& arrays, uint32_t blocks, const py::dict& options) {
  py::object result = py::none();
  octconv::for_each_forward<T, kKernel, kTransposed, kEpilogue>([&](auto traits) {
    using Traits = decltype(traits);
    if (tiles != Traits::Tiles::kName) return;
    result = run<Traits>(problem, shapes, arrays, blocks, options);
  });
  if (result.is_none()) throw std::invalid_argument("no tiles are named " + tiles);
  return result;
}

template <typename T>
py::tuple with_kernel(const std::string& tiles, const Problem& problem, const py::tuple& shapes,
                      const py::dict& arrays, uint32_t blocks, const py::dict& options) {
  const auto with = [&](auto kernel) {
    constexpr int k = decltype(kernel)::value;
    if (problem.input_grad) {
      return with_tiles<T, k, true, false>(tiles, problem, shapes, arrays, blocks, options);
    }
    if constexpr (octconv::kHasEpilogue<T, k>) {
      if (arrays.contains("scale")) {
        return with_tiles<T, k, false, true>(tiles, problem, shapes, arrays, blocks, options);
      }
    }
    return with_tiles<T, k, false, false>(tiles, problem, shapes, arrays, blocks, options);
  };
  if (problem.kernel == 1) return with(std::integral_constant<int, 1>());
  if (problem.kernel == 3) return with(std::integral_constant<int, 3>());
#if !defined(EMULATION_SANITIZED)  // the same code, slow to compile
  if (problem.kernel == 5) return with(std::integral_constant<int, 5>());
  if (problem.kernel == 7) return with(std::integral_constant<int, 7>());
#endif
  throw std::invalid_argument("no kernel of that size");
}

// Each in its file.
using RunForward = py::tuple(const std::string& tiles, const Problem& problem,
                             const py::tuple& shapes, const py::dict& arrays, uint32_t blocks,
                             const py::dict& options);
RunForward forward_bfloat16, forward_float16, forward_tfloat32;

}  // namespace emulation
