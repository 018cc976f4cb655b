// Host twin of csrc/device/sm90/grid.cuh. Launches follow each other here; what is watched is that
// no thread touches global memory or lets launches begin too early.
#pragma once

#include "runtime/memory.h"

namespace octconv::ptx {

using emulation::Site;

inline void launch_dependents(Site at = Site::current()) { emulation::launch_dependents(at); }
inline void wait_for_prerequisites() { emulation::wait_for_prerequisites(); }

}  // namespace octconv::ptx
