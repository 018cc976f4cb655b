// The Python module of the emulation, and what values are to Python. Its functions take numpy
// arrays and return (result, counters); a defect of a kernel raises EmulationError.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings.h"

namespace emulation {

namespace py = pybind11;

// From values to Python's objects, and back.
struct Python {
  static py::handle borrowed(const Value& value) {
    return value.object_ ? static_cast<PyObject*>(value.object_) : Py_None;
  }
  static py::object of(const Value& value) {
    return py::reinterpret_borrow<py::object>(borrowed(value));
  }
  static Value owned(py::object object) {
    Value value;
    if (!object.is_none()) value.object_ = object.release().ptr();
    return value;
  }
};

Value::Value(const Value& other) : Value(Python::owned(Python::of(other))) {}
Value::~Value() { py::handle(static_cast<PyObject*>(object_)).dec_ref(); }

Value::Value(const std::string& text) : Value(Python::owned(py::str(text))) {}
Value Value::of_bool(bool truth) { return Python::owned(py::bool_(truth)); }
Value Value::of_integer(int64_t number) { return Python::owned(py::int_(number)); }
Value Value::of_float(double number) { return Python::owned(py::float_(number)); }

Value Value::tuple(std::initializer_list<Value> items) {
  py::list list;
  for (const Value& item : items) list.append(Python::borrowed(item));
  return Python::owned(py::tuple(list));
}
Value Value::array(const void* data, size_t count, const char* type) {
  return Python::owned(py::array(py::dtype(type), count, data));
}
Value Value::list() { return Python::owned(py::list()); }
Value Value::dict(std::initializer_list<std::pair<const char*, Value>> items) {
  Value result = Python::owned(py::dict());
  for (const auto& [name, item] : items) result.set(name, item);
  return result;
}
void Value::append(const Value& item) {
  py::list(Python::of(*this)).append(Python::borrowed(item));
}
void Value::set(const char* name, const Value& item) {
  Python::of(*this)[name] = Python::borrowed(item);
}

size_t Value::size() const { return py::len(Python::borrowed(*this)); }
bool Value::contains(const char* name) const { return Python::of(*this).contains(name); }
Value Value::operator[](const char* name) const { return Python::owned(Python::of(*this)[name]); }
Value Value::operator[](int index) const {
  return Python::owned(Python::of(*this)[py::int_(index)]);
}

template <typename T>
T Value::cast() const {
  return Python::of(*this).cast<T>();
}
template bool Value::cast() const;
template int32_t Value::cast() const;
template uint32_t Value::cast() const;
template int64_t Value::cast() const;
template uint64_t Value::cast() const;
template std::string Value::cast() const;
template <>
Array Value::cast() const {
  const auto array = Python::of(*this).cast<py::array>();
  if (!(array.flags() & py::array::c_style)) {
    throw std::invalid_argument("arrays must be contiguous");
  }
  const auto extent = [&](int axis) { return array.ndim() == 2 ? array.shape(axis) : 0; };
  return {array.data(), static_cast<size_t>(array.nbytes()), extent(0), extent(1)};
}

void Module::add(const char* name, Value (*function)(const Value& arguments)) {
  const auto call = [function](const py::args& arguments) {
    return Python::of(function(Python::owned(arguments)));
  };
  py::reinterpret_borrow<py::module_>(static_cast<PyObject*>(module_)).def(name, call);
}

}  // namespace emulation

PYBIND11_MODULE(kernel_emulation, python_module) {
  emulation::py::register_exception<emulation::Failure>(python_module, "EmulationError",
                                                        PyExc_RuntimeError);
  emulation::Module module(python_module.ptr());
  emulation::bind_forward(module);
  emulation::bind_forward_1x1(module);
  emulation::bind_forward_1x1_sm90(module);
  emulation::bind_forward_sm90(module);
  emulation::bind_gemm(module);
  emulation::bind_plan(module);
  emulation::bind_planted(module);
  emulation::bind_pool2x2(module);
  emulation::bind_probes(module);
  emulation::bind_weight_grad(module);
  emulation::bind_weight_grad_1x1_sm90(module);
  emulation::bind_weight_grad_sm90(module);
}
