// Host twin of csrc/device/sm90/grid.cuh. Launches follow each other here; what is watched is that
// no thread touches global memory too early.
#pragma once

#include "runtime/memory.h"

namespace octconv::ptx {

inline void launch_dependents() {}
inline void wait_for_prerequisites() { emulation::wait_for_prerequisites(); }

}  // namespace octconv::ptx
