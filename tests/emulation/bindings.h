// From Python's arguments to the emulated device, and back.
#pragma once

#include <stdexcept>
#include <string>

#include "dtype.h"
#include "runtime/device.h"
#include "value.h"

namespace emulation {

// What each file of bindings adds to the module.
void bind_forward(Module& module);
void bind_forward_1x1(Module& module);
void bind_forward_1x1_sm90(Module& module);
void bind_forward_sm90(Module& module);
void bind_gemm(Module& module);
void bind_plan(Module& module);
void bind_planted(Module& module);
void bind_pool2x2(Module& module);
void bind_probes(Module& module);
void bind_weight_grad(Module& module);
void bind_weight_grad_1x1_sm90(Module& module);
void bind_weight_grad_sm90(Module& module);

// A device as a dictionary asks for it: schedule, late, seed, resident_blocks, count.
Options options_from(const Value& options);
Value to_dict(const Counters& counters);

inline const void* input(Device& device, const std::string& name, const Array& array) {
  return device.input(name, array.data, array.bytes);
}

inline const void* input(Device& device, const Value& arrays, const char* name) {
  return input(device, name, arrays[name].cast<Array>());
}

// A copy of `count` elements at `data`, with numpy's type of the same size.
template <typename T>
Value copy_out(const void* data, size_t count) {
  return Value::array(data, count,
                      std::is_same_v<T, float> ? "float32"
                      : sizeof(T) == 2         ? "uint16"
                                               : "uint8");
}

template <typename T>
struct TypeTag {
  using type = T;
};

// Calls run(TypeTag<T>()) for an element type by its torch name; float32 is tf32 to tensor cores.
template <typename Run>
auto with_element(const std::string& dtype, const Run& run) {
  if (dtype == "bfloat16") return run(TypeTag<octconv::BFloat16>());
  if (dtype == "float16") return run(TypeTag<octconv::Float16>());
  if (dtype == "float32") return run(TypeTag<octconv::TFloat32>());
  throw std::invalid_argument("dtype must be bfloat16, float16 or float32, got " + dtype);
}

}  // namespace emulation
