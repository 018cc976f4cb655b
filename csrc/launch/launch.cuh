// What every launch needs of the CUDA runtime. Neither here nor beside it is torch known: its
// headers take nvcc longer than some kernels.
#pragma once

#include <cuda_runtime.h>

#include "launch/launch_config.cuh"
#include "launch_shape.h"

namespace octconv {

// Lets launches of a kernel on the current device have so much dynamic shared memory.
void allow_shared_bytes(const void* kernel, uint32_t bytes);

template <typename Params>
void launch(void (*kernel)(Params), const LaunchShape& shape, const Params& params,
            cudaStream_t stream) {
  allow_shared_bytes(reinterpret_cast<const void*>(kernel), shape.shared_bytes);
  const LaunchConfig as_asked(shape, stream);
  cudaLaunchKernelEx(&as_asked.config, kernel, params);  // its error is the operator's to find
}

// Whether the current device, or the part of it that there is, runs all clusters of a launch at
// once.
template <typename Params>
bool have_room(void (*kernel)(Params), LaunchShape shape) {
  shape.overlaps = false;  // which is not asked about
  allow_shared_bytes(reinterpret_cast<const void*>(kernel), shape.shared_bytes);
  const LaunchConfig as_asked(shape, nullptr);
  int most = 0;
  const cudaError_t error = cudaOccupancyMaxActiveClusters(&most, kernel, &as_asked.config);
  if (error != cudaSuccess) cudaGetLastError();  // not to be found by a later call
  return error == cudaSuccess && static_cast<uint32_t>(most) * shape.cluster >= shape.blocks;
}

// Of a kernel's threads; 0 if the library has no code of it for the current device.
template <typename Params>
int registers_of(void (*kernel)(Params)) {
  cudaFuncAttributes attributes{};
  if (cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess) return attributes.numRegs;
  cudaGetLastError();  // not to be found by a later call
  return 0;
}

}  // namespace octconv
