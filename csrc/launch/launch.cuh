// What every launcher needs of the CUDA runtime and of torch.
#pragma once

#include <cuda_runtime.h>
#include <torch/headeronly/util/shim_utils.h>

#include "check/check.h"
#include "launch/launch_config.cuh"
#include "launch_shape.h"

// Only CUDA builds of torch have it. Were it not weak, CPU builds could not load the library.
extern "C" __attribute__((weak)) AOTITorchError
aoti_torch_get_current_cuda_stream(int32_t device_index, void** stream);

namespace octconv {

inline cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

// Lets launches of a kernel on the current device have so much dynamic shared memory.
void allow_shared_bytes(const void* kernel, uint32_t bytes);

template <typename Params>
void launch(void (*kernel)(Params), const LaunchShape& shape, const Params& params,
            cudaStream_t stream) {
  allow_shared_bytes(reinterpret_cast<const void*>(kernel), shape.shared_bytes);
  const LaunchConfig launch(shape, stream);
  cudaLaunchKernelEx(&launch.config, kernel, params);  // its error is check_launch's to find
}

// Whether the current device, or the part of it that there is, runs all clusters of a launch at
// once.
template <typename Params>
bool have_room(void (*kernel)(Params), LaunchShape shape) {
  shape.overlaps = false;  // which is not asked about
  allow_shared_bytes(reinterpret_cast<const void*>(kernel), shape.shared_bytes);
  const LaunchConfig launch(shape, nullptr);
  int most = 0;
  const cudaError_t error = cudaOccupancyMaxActiveClusters(&most, kernel, &launch.config);
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

// To be called straight after a launch.
inline void check_launch(const char* op) {
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) fail(op, "the launch failed: ", cudaGetErrorString(error));
}

}  // namespace octconv
