// Runs forward_sm90 for one element type; the types are compiled in files of their own, side by
// side.
#pragma once

#include <string>

#include "forward_arrays.h"
#include "kernels/forward_sm90.cuh"
#include "setup/forward_sm90.h"
#include "traits/forward_sm90.h"

namespace emulation {

using octconv::ForwardSm90Params;
using octconv::kHigh;
using octconv::kLow;
using octconv::Octave;
using octconv::Problem;
using octconv::Sm90Cut;

template <typename Traits>
Value run_sm90(const Problem& problem, const Sm90Cut& cut, const Value& arrays,
               const Value& options) {
  const auto map = [](const octconv::TensorView& view) {
    return tensor_map<octconv::TensorMap>(view);
  };
  Device device(options_from(options));
  const ForwardArrays<typename Traits::T> memory(device, problem, arrays);
  const octconv::ForwardPointers& pointers = memory.pointers;
  const Problem convolution = as_convolution(problem);
  ForwardSm90Params p = forward_sm90_params(convolution, cut, pointers);
  for (int phase = 0; phase < 4; ++phase) {
    p.phase[phase] = map(phase_view(convolution, cut.geometry, pointers.in_high, phase));
  }
  p.strip = map(strip_view(convolution, cut.geometry, pointers.in_high));
  for (const Octave octave : {kHigh, kLow}) {
    p.low_input[octave] = map(low_view(convolution, cut.geometry, pointers.in_low, octave));
    for (const Octave from : {kHigh, kLow}) {
      p.weight[octave][from] = map(weight_view(problem, cut, pointers.weight, octave, from));
    }
  }
  device.launch(octconv::forward_sm90<Traits>,
                {uint32_t(cut.blocks), octconv::kSm90Threads, 1, octconv::kSm90SharedBytes,
                 uint32_t(cut.splits), true},
                p);
  return memory.results(device);
}

template <typename T, bool kInputGrad>
Value with_direction_sm90(const Problem& problem, const Sm90Cut& cut, const Value& arrays,
                          const Value& options) {
  Value result;
  octconv::for_each_sm90<T, kInputGrad>([&](auto kernel) {
    using Traits = decltype(kernel);
    if (Traits::kGeometry != cut.geometry || Traits::kHighColumns != cut.columns[kHigh]) return;
    octconv::for_each_low_sm90<Traits>([&](auto traits) {
      using Low = decltype(traits);
      if (Low::kLowColumns != cut.columns[kLow] || (cut.splits > 1 && !Low::kMaySplit)) return;
      result = run_sm90<Traits>(problem, cut, arrays, options);
    });
  });
  if (result.is_none()) throw std::invalid_argument("no kernel has such tiles");
  return result;
}

template <typename T>
Value with_cut_sm90(const Problem& problem, const Sm90Cut& cut, const Value& arrays,
                    const Value& options) {
  return problem.input_grad ? with_direction_sm90<T, true>(problem, cut, arrays, options)
                            : with_direction_sm90<T, false>(problem, cut, arrays, options);
}

// Each in its file.
using RunForwardSm90 = Value(const Problem& problem, const Sm90Cut& cut, const Value& arrays,
                             const Value& options);
RunForwardSm90 forward_sm90_bfloat16, forward_sm90_float16;

}  // namespace emulation
