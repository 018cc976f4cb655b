// The launches of pool2x2 and pool2x2_input_grad, as their operators call them.
#pragma once

#include <cuda_runtime.h>

#include "dtype.h"
#include "params/resample.h"

namespace octconv {

// Loads one kernel to the current device, as a sample of all; the error if that does not run there.
cudaError_t load_pool2x2();

// T is float, double, BFloat16 or Float16.
template <typename T>
void launch_pool2x2(const Pool2x2Params& params, cudaStream_t stream);
template <typename T>
void launch_pool2x2_input_grad(const Pool2x2GradParams& params, cudaStream_t stream);

}  // namespace octconv
