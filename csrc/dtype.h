// The element types of the operators as plain storage, for host and device code alike.
#pragma once

#include <cstdint>

namespace octconv {

struct Float16 {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

// A float32 in memory, of which the tensor cores read the upper 19 bits.
struct TFloat32 {
  uint32_t bits;
};

// Of tensor cores' operands.
enum class ElementType : int32_t { kBFloat16, kFloat16, kTFloat32 };
constexpr int32_t bytes_of(ElementType type) { return type == ElementType::kTFloat32 ? 4 : 2; }

// The type in which sums of T are formed: double for double, float for every other type.
template <typename T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <typename T>
using Accumulator = typename AccumulatorOf<T>::type;

}  // namespace octconv
