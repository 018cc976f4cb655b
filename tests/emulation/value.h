// An object of Python's, as the bindings take and give it. Only module.cpp knows Python's headers:
// a compiler takes longer for them than for most kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace emulation {

// The memory of a contiguous array of numpy's.
struct Array {
  const void* data;
  size_t bytes;
  int64_t rows, columns;  // of a matrix, else 0
};

class Value {
 public:
  Value() = default;  // None
  Value(const Value& other);
  Value(Value&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Value& operator=(Value other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Value();

  Value(const std::string& text);
  Value(const char* text) : Value(std::string(text)) {}
  template <typename T>
    requires std::is_arithmetic_v<T>
  Value(T number) {
    if constexpr (std::is_same_v<T, bool>) {
      *this = of_bool(number);
    } else if constexpr (std::is_integral_v<T>) {
      *this = of_integer(static_cast<int64_t>(number));
    } else {
      *this = of_float(number);
    }
  }
  static Value tuple(std::initializer_list<Value> items);
  // A copy of an array with numpy's type of this name.
  static Value array(const void* data, size_t count, const char* type);
  static Value list();
  static Value dict(std::initializer_list<std::pair<const char*, Value>> items);
  void append(const Value& item);                 // to a list
  void set(const char* name, const Value& item);  // in a dict

  bool is_none() const { return object_ == nullptr; }
  size_t size() const;
  bool contains(const char* name) const;     // of a dict
  Value operator[](const char* name) const;  // of a dict
  Value operator[](int index) const;         // of a tuple or list
  // To bool, integers of 32 or 64 bits, std::string, Array.
  template <typename T>
  T cast() const;

 private:
  friend struct Python;
  static Value of_bool(bool truth);
  static Value of_integer(int64_t number);
  static Value of_float(double number);

  void* object_ = nullptr;  // owned
};

template <>
Array Value::cast() const;
template <>
inline Value Value::cast() const {
  return *this;
}

// A function with arguments of types that `cast` gives, as one of a tuple of them.
template <auto kFunction>
struct Bound;
template <typename... Arguments, Value (*kFunction)(Arguments...)>
struct Bound<kFunction> {
  static Value call(const Value& arguments) {
    if (arguments.size() != sizeof...(Arguments)) {
      throw std::invalid_argument("expected " + std::to_string(sizeof...(Arguments)) +
                                  " arguments, got " + std::to_string(arguments.size()));
    }
    return [&]<size_t... kAt>(std::index_sequence<kAt...>) {
      return kFunction(arguments[kAt].template cast<std::remove_cvref_t<Arguments>>()...);
    }(std::index_sequence_for<Arguments...>());
  }
};

// What functions are added to.
class Module {
 public:
  explicit Module(void* module) : module_(module) {}

  template <auto kFunction>
  void add(const char* name) {
    add(name, &Bound<kFunction>::call);
  }

 private:
  void add(const char* name, Value (*function)(const Value& arguments));

  void* module_;
};

}  // namespace emulation
