// Runs weight_grad_sm80 or weight_grad_1x1_sm80 for one element type; the types are compiled in
// files of their own, side by side.
#pragma once

#include <string>

#include "bindings.h"
#include "kernels/weight_grad_1x1_sm80.cuh"
#include "kernels/weight_grad_sm80.cuh"
#include "kernels/weight_grad_splits.cuh"
#include "setup/weight_grad_1x1_sm80.h"
#include "setup/weight_grad_sm80.h"

namespace emulation {

using octconv::PixelTile;
using octconv::PixelTiles;
using octconv::Problem;
using octconv::WeightGradParams;

// From the fields of Problem in their order but for the last.
inline Problem grad_problem_of(const Value& numbers) {
  const auto number = [&](int i) { return numbers[i].cast<int32_t>(); };
  return {number(0), number(1), number(2), number(3), number(4),
          number(5), number(6), number(7), number(8), false};
}

struct WeightGradCall {
  const Problem& problem;
  const PixelTiles& tiles;
  const Value& arrays;
  bool channels_last, wide_output, bias;
  int32_t shared_limit;
  const Value& options;
};

// params_of(pointers) makes the parameters of a kernel of `blocks(params)` blocks.
template <typename T, typename ParamsOf, typename Blocks, typename Kernel>
Value run(const WeightGradCall& call, const ParamsOf& params_of, const Blocks& blocks,
          Kernel kernel, uint32_t threads) {
  using Number = std::conditional_t<sizeof(T) == 2, uint16_t, float>;
  const Problem& problem = call.problem;
  Device device(options_from(call.options));
  const auto map = [&](const char* array) { return input(device, call.arrays, array); };
  octconv::WeightGradPointers pointers{};
  pointers.x_high = map("x_high"), pointers.x_low = map("x_low");
  pointers.dy_high = map("dy_high"), pointers.dy_low = map("dy_low");
  const int64_t rows = problem.high_out + problem.low_out;
  const int64_t columns = problem.high_in + problem.low_in;
  const int64_t taps = problem.kernel * problem.kernel;
  pointers.strides = call.channels_last ? octconv::WeightStrides{taps * columns, columns, 1}
                                        : octconv::WeightStrides{taps * columns, 1, taps};
  pointers.wide_output = call.wide_output;
  const size_t element = call.wide_output ? sizeof(float) : sizeof(T);
  const size_t count = rows * columns * taps;
  pointers.dweight = device.output("dweight", count * element);
  if (call.bias) pointers.dbias = device.output("dbias", rows * element);

  auto p = params_of(pointers);
  if (p.shared_bytes > call.shared_limit) {
    throw std::invalid_argument("the tiles take " + std::to_string(p.shared_bytes) +
                                " bytes of shared memory of " + std::to_string(call.shared_limit));
  }
  const int64_t sums = p.sums;
  if (sums > 0) {
    p.partial_sums = static_cast<float*>(device.workspace("partial_sums", sums * sizeof(float)));
  }
  device.launch(
      kernel, {static_cast<uint32_t>(blocks(p)), threads, 1, static_cast<uint32_t>(p.shared_bytes)},
      p);
  Value counters = to_dict(device.counters());
  if (p.positions > 0) {
    device.launch(octconv::add_weight_grad_splits<T>, splits_shape(p), WeightGradParams(p));
  }
  device.check_outputs();
  counters.set("launches", device.counters().launches);
  counters.set("items", p.items());
  counters.set("workspace", sums * sizeof(float));
  const auto copy = [&](const void* data, size_t elements) {
    return call.wide_output ? copy_out<float>(data, elements) : copy_out<Number>(data, elements);
  };
  return Value::tuple(
      {copy(pointers.dweight, count), copy(pointers.dbias, call.bias ? rows : 0), counters});
}

template <typename Traits>
Value run_weight_grad(const WeightGradCall& call, const char* name) {
  const auto params_of = [&](const octconv::WeightGradPointers& pointers) {
    return weight_grad_params(call.problem,
                              octconv::limits_of_grad<Traits>(name, call.problem.kernel),
                              call.tiles, pointers);
  };
  const auto blocks = [](const WeightGradParams& p) { return p.items(); };
  return run<typename Traits::T>(call, params_of, blocks, octconv::weight_grad_sm80<Traits>,
                                 Traits::kThreads);
}

template <typename Traits>
Value run_joint_grad(const WeightGradCall& call, const char* name) {
  const auto params_of = [&](const octconv::WeightGradPointers& pointers) {
    return joint_grad_params(call.problem, octconv::limits_of_joint_grad<Traits>(name),
                             octconv::JointGradShape::of(call.tiles), pointers);
  };
  const auto blocks = [](const octconv::JointGradParams& p) { return p.blocks(); };
  return run<typename Traits::T>(call, params_of, blocks, octconv::weight_grad_1x1_sm80<Traits>,
                                 Traits::kThreads);
}

template <typename T>
Value with_weight_grad(const std::string& tiles, const WeightGradCall& call) {
  Value result;
  octconv::for_each_weight_grad<T>(call.problem.kernel, [&](auto traits, const char* name) {
    if (tiles == name) result = run_weight_grad<decltype(traits)>(call, name);
  });
  octconv::for_each_joint_grad<T>([&](auto traits, const char* name) {
    if (tiles == name) result = run_joint_grad<decltype(traits)>(call, name);
  });
  if (result.is_none()) throw std::invalid_argument("no tiles are named " + tiles);
  return result;
}

// Each in its file.
using RunWeightGrad = Value(const std::string& tiles, const WeightGradCall& call);
RunWeightGrad weight_grad_bfloat16, weight_grad_float16, weight_grad_tfloat32;

}  // namespace emulation
