// Arithmetic of PTX: registers that hold bits, and what instructions make of them, by functions
// whose arguments are operands as an instruction sees them.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "device/ptx.cuh"

namespace emulation::machine {

// An operand as an instruction of type T sees it: the same bits, or the lowest of them.
template <typename T, typename S>
T get(S value) {
  if constexpr (std::is_same_v<T, S>) {
    return value;
  } else if constexpr (sizeof(T) == sizeof(S) && !std::is_same_v<S, bool>) {
    return std::bit_cast<T>(value);
  } else {
    static_assert(std::is_integral_v<T> && std::is_integral_v<S> && sizeof(T) <= sizeof(S));
    return static_cast<T>(value);
  }
}

// An integer's sign, or none, in 64 bits.
template <typename T>
using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;

// A result to a register, which may be wider: extended by its sign, if it has one.
template <typename R, typename T>
void put(R& to, T value) {
  if constexpr (sizeof(R) == sizeof(T)) {
    to = std::bit_cast<R>(value);
  } else {
    static_assert(std::is_integral_v<R> && std::is_integral_v<T> && sizeof(R) > sizeof(T));
    to = static_cast<R>(static_cast<Wide<T>>(value));
  }
}

// An instruction: what one of the functions below makes of operands of its arguments' types.
template <auto kFunction, typename T, typename... A, typename R, typename... S>
void set_of_type(T (*)(A...), R& to, S... operands) {
  put(to, kFunction(get<A>(operands)...));
}
template <auto kFunction, typename R, typename... S>
[[gnu::flatten]] void set(R& to, S... operands) {
  set_of_type<kFunction>(kFunction, to, operands...);
}

// Integers wrap: they are added and multiplied as unsigned ones.
template <typename T>
using Wrapping = std::conditional_t<std::is_floating_point_v<T>, T,
                                    std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>;

template <typename T>
T same(T a) {
  return a;
}
template <typename T>
T add(T a, T b) {
  return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(b));
}
template <typename T>
T subtract(T a, T b) {
  return static_cast<T>(Wrapping<T>(a) - Wrapping<T>(b));
}
template <typename T>
T multiply(T a, T b) {
  return static_cast<T>(Wrapping<T>(a) * Wrapping<T>(b));
}
template <typename T>
T multiply_high(T a, T b) {
  static_assert(sizeof(T) == 4);
  return static_cast<T>(Wide<T>{a} * b >> 32);
}
template <typename T>
auto multiply_wide(T a, T b) {
  static_assert(sizeof(T) == 4 || std::is_same_v<T, uint16_t>);
  return std::conditional_t<sizeof(T) == 2, uint32_t, Wide<T>>{a} * b;
}
template <typename T>
T multiply_add(T a, T b, T c) {
  return add(multiply(a, b), c);
}
template <typename T>
T divide(T a, T b) {
  return a / b;
}
template <typename T>
T remainder(T a, T b) {
  return a % b;
}
template <typename T>
T negate(T a) {
  return subtract(T{}, a);
}
template <typename T>
T least(T a, T b) {
  return std::min(a, b);
}
template <typename T>
T greatest(T a, T b) {
  return std::max(a, b);
}
template <typename T>
T magnitude(T a) {
  return std::fabs(a);
}
template <typename T>
T fused_multiply_add(T a, T b, T c) {
  return std::fma(a, b, c);
}

template <typename T>
T invert(T a) {
  if constexpr (std::is_same_v<T, bool>) return !a;
  return static_cast<T>(~a);
}
template <typename T>
T bits_of_both(T a, T b) {
  return a & b;
}
template <typename T>
T bits_of_either(T a, T b) {
  return a | b;
}
template <typename T>
T bits_of_one(T a, T b) {
  return a ^ b;
}
// Counts beyond the bits are as many as there are.
template <typename T>
T shift_left(T a, uint32_t count) {
  return count < 8 * sizeof a ? static_cast<T>(Wrapping<T>(a) << count) : T{};
}
template <typename T>
T shift_right(T a, uint32_t count) {
  constexpr uint32_t kMost = 8 * sizeof a - 1;
  return count <= kMost ? static_cast<T>(a >> count) : std::is_signed_v<T> && a < 0 ? T(-1) : T{};
}
inline uint32_t funnel_left(uint32_t low, uint32_t high, uint32_t count) {
  return static_cast<uint32_t>((uint64_t{high} << 32 | low) << count % 32 >> 32);
}
template <typename T>
T insert(T bits, T into, uint32_t place, uint32_t count) {
  const T mask = shift_left(subtract(shift_left(T{1}, count % 256), T{1}), place % 256);
  return (into & ~mask) | (shift_left(bits, place % 256) & mask);
}

template <typename T>
bool equal(T a, T b) {
  return a == b;
}
template <typename T>
bool less(T a, T b) {
  return a < b;
}
template <typename T>
bool less_or_equal(T a, T b) {
  return a <= b;
}
template <typename T>
bool greater(T a, T b) {
  return a > b;
}
template <typename T>
bool greater_or_equal(T a, T b) {
  return a >= b;
}
template <typename T>
bool unequal(T a, T b) {
  return !(a == b);
}
// Also where one of them is NaN.
template <typename T>
bool not_less(T a, T b) {
  return !(a < b);
}
template <typename T>
T select(T a, T b, bool condition) {
  return condition ? a : b;
}

template <typename To, typename From>
To convert(From a) {
  return static_cast<To>(a);
}
inline float widen_float16(uint16_t bits) { return octconv::ptx::widen(octconv::Float16{bits}); }
template <typename T>
uint16_t narrow(float value) {
  T narrowed;
  octconv::ptx::narrow(narrowed, value);
  return narrowed.bits;
}
template <typename T>
uint32_t narrow_pair(float high, float low) {
  return octconv::ptx::narrow_pair<T>(low, high);
}

// Registers of half as many bits side by side.
template <typename Half>
auto pack(Half low, Half high) {
  using Whole = std::conditional_t<sizeof(Half) == 2, uint32_t, uint64_t>;
  return static_cast<Whole>(Whole{high} << 8 * sizeof(Half) | low);
}
template <typename Whole, typename R>
void unpack(Whole value, R& low, R& high) {
  static_assert(sizeof(Whole) == 2 * sizeof(R));
  R halves[2];
  std::memcpy(halves, &value, sizeof halves);
  low = halves[0], high = halves[1];
}

}  // namespace emulation::machine
