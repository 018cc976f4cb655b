// The arrays of a forward kernel's test on the emulated device, and its results from there.
#pragma once

#include <type_traits>

#include "bindings.h"
#include "setup/forward_sm80.h"

namespace emulation {

// From the fields in their order.
inline octconv::Problem problem_of(const Value& numbers) {
  const auto number = [&](int i) { return numbers[i].cast<int32_t>(); };
  return {number(0), number(1), number(2), number(3), number(4),
          number(5), number(6), number(7), number(8), number(9) != 0};
}

// in_high, in_low, weight, bias and what an epilogue takes by their names, channels last each.
template <typename T>
struct ForwardArrays {
  octconv::ForwardPointers pointers{};
  size_t high_size, low_size;  // of the results, in elements

  ForwardArrays(Device& device, const octconv::Problem& problem, const Value& arrays) {
    const auto optional = [&](const char* name) {
      return arrays.contains(name) ? input(device, arrays, name) : nullptr;
    };
    pointers.in_high = input(device, arrays, "in_high");
    pointers.in_low = input(device, arrays, "in_low");
    pointers.weight = input(device, arrays, "weight");
    pointers.bias = optional("bias");
    octconv::Epilogue& epilogue = pointers.epilogue;
    epilogue.scale = static_cast<const float*>(optional("scale"));
    epilogue.shift = static_cast<const float*>(optional("shift"));
    epilogue.residual_high = optional("residual_high");
    epilogue.residual_low = optional("residual_low");
    if (arrays.contains("activation")) {
      epilogue.activation = static_cast<octconv::Activation>(arrays["activation"].cast<int>());
    }
    const bool grad = problem.input_grad;
    const int32_t height = grad ? problem.height : problem.grid_height();
    const int32_t width = grad ? problem.width : problem.grid_width();
    high_size = size_t(problem.batch) * height * width;
    high_size *= grad ? problem.high_in : problem.high_out;
    low_size = size_t(problem.batch) * octconv::half_up(height) * octconv::half_up(width);
    low_size *= grad ? problem.low_in : problem.low_out;
    pointers.out_high = device.output("out_high", high_size * sizeof(T));
    pointers.out_low = device.output("out_low", low_size * sizeof(T));
  }

  // The results and the counters, behind the launch.
  Value results(Device& device) const {
    using Number = std::conditional_t<sizeof(T) == 2, uint16_t, float>;
    device.check_outputs();
    return Value::tuple({copy_out<Number>(pointers.out_high, high_size),
                         copy_out<Number>(pointers.out_low, low_size), to_dict(device.counters())});
  }
};

}  // namespace emulation
