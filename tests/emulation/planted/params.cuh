// What all kernels with a planted bug share. Each of them is correct with kBroken = false.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "params/forward_sm90.h"

namespace octconv::planted {

constexpr uint32_t kInputs = 1024;

struct Params {
  const float* in;     // kInputs of them: 1, 2, 3...
  float* out;          // as many as the list in bind_planted.cpp says
  float* workspace;    // kInputs, which nobody has written
  uint32_t* counters;  // 4 zeros
  TensorMap rows;      // of `in`: 32 rows of 64 elements of 16 bits, two to a float; 16 rows a box
};

__device__ __forceinline__ uint32_t warp() { return ptx::thread_x() / ptx::kWarpThreads; }

}  // namespace octconv::planted
