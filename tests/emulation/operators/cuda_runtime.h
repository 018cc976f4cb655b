// Of <cuda_runtime.h>, what the launchers use: a launch runs the kernel in the emulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <typeinfo>

enum cudaError_t { cudaSuccess, cudaErrorInvalidValue, cudaErrorMemoryAllocation };
using cudaStream_t = void*;

struct dim3 {
  uint32_t x, y, z;
  dim3(uint32_t x, uint32_t y = 1, uint32_t z = 1) : x(x), y(y), z(z) {}
};

enum cudaDeviceAttr {
  cudaDevAttrComputeCapabilityMajor,
  cudaDevAttrComputeCapabilityMinor,
  cudaDevAttrMultiProcessorCount,
  cudaDevAttrMaxSharedMemoryPerBlockOptin
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
struct cudaFuncAttributes {
  int numRegs;
};

enum cudaLaunchAttributeID {
  cudaLaunchAttributeClusterDimension,
  cudaLaunchAttributeProgrammaticStreamSerialization
};
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    struct {
      uint32_t x, y, z;
    } clusterDim;
    int programmaticStreamSerializationAllowed;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim{1}, blockDim{1};
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  uint32_t numAttrs;
};

enum { cudaEnableDefault };
enum cudaDriverEntryPointQueryResult { cudaDriverEntryPointSuccess };

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value);
cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned version,
                                             int flags, cudaDriverEntryPointQueryResult* result);

namespace emulation {

// `type` is the name of the type of the kernel's parameters.
cudaError_t find_attributes(cudaFuncAttributes& attributes, const char* type);
cudaError_t launch_grid(const cudaLaunchConfig_t& config, const void* kernel, const char* type,
                        const void* params, const std::function<void()>& run);
int most_clusters(const cudaLaunchConfig_t& config);

}  // namespace emulation

template <typename Params>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (*)(Params)) {
  return emulation::find_attributes(*attributes, typeid(Params).name());
}

template <typename Params>
cudaError_t cudaOccupancyMaxActiveClusters(int* most, void (*)(Params),
                                           const cudaLaunchConfig_t* config) {
  *most = emulation::most_clusters(*config);
  return cudaSuccess;
}

template <typename Params>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Params),
                               const Params& params) {
  return emulation::launch_grid(*config, reinterpret_cast<const void*>(kernel),
                                typeid(Params).name(), &params, [&] { kernel(params); });
}
