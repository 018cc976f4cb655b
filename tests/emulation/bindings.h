// From Python's arguments to the emulated device, and back.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "dtype.h"
#include "runtime/device.h"

namespace emulation {

namespace py = pybind11;

// What each file of bindings adds to the module.
void bind_forward(py::module_& module);
void bind_forward_1x1(py::module_& module);
void bind_forward_1x1_sm90(py::module_& module);
void bind_forward_sm90(py::module_& module);
void bind_gemm(py::module_& module);
void bind_plan(py::module_& module);
void bind_planted(py::module_& module);
void bind_pool2x2(py::module_& module);
void bind_probes(py::module_& module);
void bind_weight_grad(py::module_& module);
void bind_weight_grad_1x1_sm90(py::module_& module);
void bind_weight_grad_sm90(py::module_& module);

// A device as a dictionary asks for it: schedule, late, seed, resident_blocks, count.
Options options_from(const py::dict& options);
py::dict to_dict(const Counters& counters);

inline const void* input(Device& device, const std::string& name, const py::array& array) {
  if (!(array.flags() & py::array::c_style)) {
    throw std::invalid_argument(name + " must be contiguous");
  }
  return device.input(name, array.data(), array.nbytes());
}

// A copy of `count` elements at `data`, with numpy's type of the same size.
template <typename T>
py::array copy_out(const void* data, size_t count) {
  return py::array_t<T>(count, static_cast<const T*>(data));
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
