// The device layer: one function per instruction, above each its section of the PTX ISA manual
// (docs.nvidia.com/cuda/parallel-thread-execution). These files are the only ones with asm. Kernels
// include this one as <device/ptx.cuh> and use nothing else of CUDA, so that other files of the
// same name can run them on a CPU (tests/emulation/device).
//
// Shared memory is addressed by 32-bit numbers, its state space's own addresses.
#pragma once

#include "device/atomic.cuh"
#include "device/convert.cuh"
#include "device/copy_async.cuh"
#include "device/math.cuh"
#include "device/matrix.cuh"
#include "device/memory.cuh"
#include "device/thread.cuh"
