// Runs forward_sm80 for one element type; the types are compiled in files of their own, side by
// side.
#pragma once

#include <string>
#include <type_traits>

#include "forward_arrays.h"
#include "kernels/forward_sm80.cuh"

namespace emulation {

using octconv::ForwardParams;
using octconv::Problem;
using octconv::TileShape;

template <typename Traits>
Value run(const Problem& problem, const Value& shapes, const Value& arrays, uint32_t blocks,
          const Value& options) {
  using T = typename Traits::T;
  Device device(options_from(options));
  const ForwardArrays<T> memory(device, problem, arrays);
  const octconv::ForwardLimits limits = octconv::limits_of<Traits>(problem.kernel);
  const auto shape_of = [&](int i) {
    const auto shape = shapes[i];
    return TileShape{shape[0].cast<int32_t>(), shape[1].cast<int32_t>(), shape[2].cast<int32_t>()};
  };
  const auto stages = shapes[2].cast<int32_t>();
  ForwardParams p =
      forward_params(problem, limits, shape_of(0), shape_of(1), stages, memory.pointers);
  p.rotation = blocks / 2;
  if (p.high.splits > 1 || p.low.splits > 1) {
    const size_t items = p.high.items() + p.low.items();
    p.partial_sums =
        static_cast<float*>(device.workspace("partial_sums", items * limits.sums * sizeof(float)));
    p.arrivals = static_cast<uint32_t*>(
        device.zeros("arrivals", (p.high.tiles() + p.low.tiles()) * sizeof(uint32_t)));
  }
  device.launch(
      octconv::forward_sm80<Traits>,
      {blocks, Traits::kThreads, 1, uint32_t(shared_bytes(limits, p.halo_bytes, p.weight_stages))},
      p);
  return memory.results(device);
}

template <typename T, bool kTransposed>
Value with_tiles(const std::string& tiles, const Problem& problem, const Value& shapes,
                 const Value& arrays, uint32_t blocks, const Value& options) {
  Value result;
  octconv::for_each_forward<T, kTransposed>(problem.kernel, [&](auto traits) {
    using Traits = decltype(traits);
    if (tiles != Traits::Tiles::kName) return;
    result = run<Traits>(problem, shapes, arrays, blocks, options);
  });
  if (result.is_none()) throw std::invalid_argument("no tiles are named " + tiles);
  return result;
}

template <typename T>
Value with_direction(const std::string& tiles, const Problem& problem, const Value& shapes,
                     const Value& arrays, uint32_t blocks, const Value& options) {
  return problem.input_grad ? with_tiles<T, true>(tiles, problem, shapes, arrays, blocks, options)
                            : with_tiles<T, false>(tiles, problem, shapes, arrays, blocks, options);
}

// Each in its file.
using RunForward = Value(const std::string& tiles, const Problem& problem, const Value& shapes,
                         const Value& arrays, uint32_t blocks, const Value& options);
RunForward forward_bfloat16, forward_float16, forward_tfloat32;

}  // namespace emulation
