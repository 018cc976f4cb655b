// The shape of a kernel launch, for the CUDA launchers and for the emulation.
#pragma once

#include <cstdint>

namespace octconv {

struct LaunchShape {
  uint32_t blocks;
  uint32_t threads_x;  // of a block
  uint32_t threads_y = 1;
  uint32_t shared_bytes = 0;  // dynamic, of a block
  uint32_t cluster = 1;       // blocks of a cluster
  bool overlaps = false;      // with launches before it, for which it waits itself
};

}  // namespace octconv
