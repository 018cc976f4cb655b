// What every launch needs of the CUDA runtime. Neither here nor beside it is torch known: its
// headers take nvcc longer than some kernels.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>

#include "launch/answer.h"
#include "launch/launch_config.cuh"
#include "launch_shape.h"

namespace octconv {

// Raises unless a plan meant one of the kernels that there are: with none nothing would be written.
void check_one_kernel(int found);

// Lets launches of a kernel on the current device have so much dynamic shared memory.
void allow_shared_bytes(const void* kernel, uint32_t bytes);

template <typename Params>
void launch(void (*kernel)(Params), const LaunchShape& shape, const Params& params,
            cudaStream_t stream) {
  static_assert(sizeof(Params) <= 4096);  // what drivers before CUDA 12.1's take
  allow_shared_bytes(reinterpret_cast<const void*>(kernel), shape.shared_bytes);
  const LaunchConfig as_asked(shape, stream);
  cudaLaunchKernelEx(&as_asked.config, kernel, params);  // its error is the operator's to find
}

// Whether the current device, or the part of it that there is, runs all clusters of a launch at
// once.
template <typename Params>
Answer have_room(void (*kernel)(Params), LaunchShape shape) {
  shape.overlaps = false;  // which is not asked about
  allow_shared_bytes(reinterpret_cast<const void*>(kernel), shape.shared_bytes);
  const LaunchConfig as_asked(shape, nullptr);
  int most = 0;
  if (cudaOccupancyMaxActiveClusters(&most, kernel, &as_asked.config) != cudaSuccess) {
    cudaGetLastError();  // not to be found by a later call
    return std::nullopt;
  }
  return static_cast<uint32_t>(most) * shape.cluster >= shape.blocks;
}

// Asks for the attributes of a kernel, for which its code is loaded to the current device. Raises
// where there was no memory for that, which may be otherwise the next time.
template <typename Params>
cudaError_t load(void (*kernel)(Params), cudaFuncAttributes& attributes) {
  const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel);
  if (error != cudaSuccess) cudaGetLastError();  // not to be found by a later call
  if (error == cudaErrorMemoryAllocation) {
    throw std::runtime_error("octconv_cuda: no memory on the device to load a kernel to");
  }
  return error;
}

// Whether the library has code of a kernel for the current device, with so many registers.
template <typename Params>
Answer has_registers(void (*kernel)(Params), int registers) {
  cudaFuncAttributes attributes{};
  if (load(kernel, attributes) != cudaSuccess) return std::nullopt;
  return attributes.numRegs == registers;
}

}  // namespace octconv
