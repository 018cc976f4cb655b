// Tensors as tensor maps see them. Plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

namespace octconv {

// A tensor of 16-bit elements, innermost dimension first, and the box of it that a copy takes: what
// a tensor map is made from.
struct TensorView {
  const void* address;
  int32_t rank;
  uint64_t sizes[5], strides[4];  // bytes, of all but the innermost
  uint32_t box[5];
  bool swizzled = true;  // in shared memory, as products read it

  // Of an absent part: no map can be made from it, and nothing is copied by one.
  bool empty() const { return std::find(sizes, sizes + rank, 0u) != sizes + rank; }

  static constexpr int64_t kElement = 2;  // bytes
  static const void* behind(const void* address, int64_t elements) {
    return static_cast<const char*>(address) + elements * kElement;
  }
};

// Tensor maps count in unsigned numbers.
constexpr uint32_t u(int32_t value) { return static_cast<uint32_t>(value); }

}  // namespace octconv
