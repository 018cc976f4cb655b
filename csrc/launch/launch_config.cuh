// How the CUDA runtime is told of a launch.
#pragma once

#include <cuda_runtime.h>

#include "launch_shape.h"

namespace octconv {

struct LaunchConfig {
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config{};

  LaunchConfig(const LaunchShape& shape, cudaStream_t stream) {
    const dim3 threads(shape.threads_x, shape.threads_y);
    config = {shape.blocks, threads, shape.shared_bytes, stream, attributes, 0};
    if (shape.cluster > 1) {
      cudaLaunchAttribute& cluster = attributes[config.numAttrs++];
      cluster.id = cudaLaunchAttributeClusterDimension;
      cluster.val.clusterDim = {shape.cluster, 1, 1};
    }
    if (shape.overlaps) {
      cudaLaunchAttribute& overlap = attributes[config.numAttrs++];
      overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
      overlap.val.programmaticStreamSerializationAllowed = 1;
    }
  }
  LaunchConfig(const LaunchConfig&) = delete;  // its configuration points to its attributes
  LaunchConfig& operator=(const LaunchConfig&) = delete;
};

}  // namespace octconv
