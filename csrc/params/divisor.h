// Division by a number that a launch fixes: a product and a shift. Plain C++.
#pragma once

#include <cstdint>

namespace octconv {

struct Divisor {
  int32_t value;
  uint32_t multiplier, bits;

  // value >= 1
  static constexpr Divisor of(int32_t value) {
    uint32_t bits = 0;
    while ((int64_t{1} << bits) < value) ++bits;
    const uint64_t power = uint64_t{1} << (31 + bits);
    return {value, static_cast<uint32_t>((power + value - 1) / value), bits};
  }

  // number / value for number >= 0: the multiplier is too large by less than 2^-31 of itself. By 31
  // bits first, the shift of a 64-bit number is one that the compiler knows.
  constexpr int32_t quotient(int32_t number) const {
    const uint64_t product = uint64_t{static_cast<uint32_t>(number)} * multiplier;
    return static_cast<int32_t>(static_cast<uint32_t>(product >> 31) >> bits);
  }
};

}  // namespace octconv
