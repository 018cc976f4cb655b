#include "cuda/device.h"

#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include <map>
#include <string>

#include "build_info.h"
#include "launch/forward_sm80.h"
#include "launch/pool2x2.h"

namespace octconv {
namespace {

// What a library is built for does not tell what it runs on: its CUDA runtime may be too new for
// the driver, and the driver may have to compile what there is no machine code for.
Device ask(int index) {
  cudaError_t error = cudaSuccess;
  const auto attribute = [&](cudaDeviceAttr name) {
    int value = 0;
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&value, name, index);
    return value;
  };
  const int major = attribute(cudaDevAttrComputeCapabilityMajor);
  const int minor = attribute(cudaDevAttrComputeCapabilityMinor);
  const int multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
  const int shared_bytes = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  Device device{device_facts(major, minor, multiprocessors, shared_bytes, built_archs())};
  if (error == cudaSuccess) {
    if (major < 8) {
      device.why_no_kernels = "a GPU of compute capability below 8.0";
    } else if (!device.facts.has_code) {
      device.why_no_kernels = "a GPU that the library has no code for";
    }
    device.is_known = !device.why_no_kernels.empty();
    if (device.is_known) return device;
    error = load_pool2x2();
  }
  if (error != cudaSuccess) {
    cudaGetLastError();  // not to be found by a later call
    device.why_no_kernels =
        "a GPU on which the library's code does not run: " + std::string(cudaGetErrorString(error));
    return device;
  }
  device.is_known = true;
  if (device.facts.passes_registers()) {
    const Answer passes = code_passes_registers();
    device.facts.has_code_90a = passes.value_or(false);
    device.is_known = passes.has_value();
  }
  return device;
}

}  // namespace

const Device& device_of(int index) {
  thread_local std::map<int, Device> known;
  Device& device = known[index];
  if (device.is_known) return device;
  const torch::stable::accelerator::DeviceGuard guard(index);
  return device = ask(index);
}

}  // namespace octconv

namespace {

std::string why_no_kernels(int64_t device) {
  return octconv::device_of(static_cast<int>(device)).why_no_kernels;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CompositeExplicitAutograd, m) {
  m.impl("why_no_kernels", TORCH_BOX(&why_no_kernels));
}
