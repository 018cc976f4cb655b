// Kernels translated from what nvcc has made of them, by the address of the same kernel compiled
// for the emulation.
#pragma once

#include <cstddef>
#include <map>

namespace emulation {

using Translated = void (*)(const std::byte* params);

inline std::map<const void*, Translated>& translations() {
  static std::map<const void*, Translated> known;
  return known;
}

struct Translation {
  // `kernel` is null where no code launches it.
  Translation(void (*kernel)(), Translated run) {
    if (kernel) translations()[reinterpret_cast<const void*>(kernel)] = run;
  }
};

}  // namespace emulation
