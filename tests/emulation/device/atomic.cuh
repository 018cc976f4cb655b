// Host twin of csrc/device/atomic.cuh.
#pragma once

#include <cstdint>

#include "runtime/atomic.h"

namespace octconv::ptx {

using emulation::Site;

inline void fence_device() { emulation::fence_device(); }

inline uint32_t atomic_add_relaxed(uint32_t* address, uint32_t value, Site at = Site::current()) {
  return emulation::atomic_add(address, value, false, "atomic_add_relaxed", at);
}

inline uint32_t atomic_add(uint32_t* address, uint32_t value, Site at = Site::current()) {
  return emulation::atomic_add(address, value, true, "atomic_add", at);
}

}  // namespace octconv::ptx
