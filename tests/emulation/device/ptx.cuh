// The host twin of csrc/device/ptx.cuh: the same functions, so that the text of a kernel compiles
// and runs on a CPU. Each passes its caller's place on, which names it in reports and tells one
// instruction from another. The memory is touched here, in code that the sanitizers instrument;
// runtime/ checks, counts and decides who runs.
#pragma once

#define __device__
#define __global__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

#include "device/atomic.cuh"
#include "device/convert.cuh"
#include "device/copy_async.cuh"
#include "device/math.cuh"
#include "device/matrix.cuh"
#include "device/memory.cuh"
#include "device/thread.cuh"
