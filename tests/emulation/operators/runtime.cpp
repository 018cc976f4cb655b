// The operators on CUDA without CUDA: registered for tensors on the CPU under the name
// LIBRARY, they plan as for an H100, and their launches run in the emulation.
#include <cxxabi.h>
#include <dlfcn.h>
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "cuda.h"
#include "cuda_runtime.h"
#include "runtime/device.h"
#include "runtime/tensor_copy.h"
#include "runtime/translations.h"
#include "traits/forward_1x1_sm90.h"
#include "traits/forward_sm80.h"
#include "traits/weight_grad_1x1_sm90.h"

namespace emulation {
namespace {

constexpr int kMultiprocessors = 132;
constexpr int kDevice = 1;  // of all tensors; 0 is current, where nobody says otherwise
const cudaStream_t kStream = reinterpret_cast<cudaStream_t>(0x100);  // its current one

std::unique_ptr<Device> device;
bool has_room = true;  // for clusters
// Of kernels of such parameters the code does not load, with this error.
std::string refused;
cudaError_t refusal = cudaSuccess;
int questions = 0, maps = 0;  // to the runtime, and that the driver made, since the device was made
std::map<const void*, size_t> shared_limits;
cudaError_t last_error = cudaSuccess;
int current_device = 0;
std::ostringstream launches;

// The function of torch that one here stands before.
template <typename Function>
Function* in_torch(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// From the first element of a tensor to the end of its last one.
size_t bytes_of(AtenTensorHandle tensor) {
  int64_t dims = 0, elements = 1, *sizes = nullptr, *strides = nullptr;
  int32_t dtype = 0;
  aoti_torch_get_dim(tensor, &dims);
  aoti_torch_get_sizes(tensor, &sizes);
  aoti_torch_get_strides(tensor, &strides);
  aoti_torch_get_dtype(tensor, &dtype);
  for (int64_t i = 0; i < dims; ++i) {
    if (sizes[i] == 0) return 0;
    elements += (sizes[i] - 1) * strides[i];
  }
  const int64_t bytes = dtype == aoti_torch_dtype_float64()   ? 8
                        : dtype == aoti_torch_dtype_float32() ? 4
                                                              : 2;
  return elements * bytes;
}

std::string name_of(const char* type) {
  char* text = abi::__cxa_demangle(type, nullptr, nullptr, nullptr);
  std::string name = text ? text : type;
  std::free(text);
  return name.substr(name.rfind(':') + 1);
}

octconv::LaunchShape shape_of(const cudaLaunchConfig_t& config) {
  octconv::LaunchShape shape{config.gridDim.x, config.blockDim.x, config.blockDim.y,
                             static_cast<uint32_t>(config.dynamicSmemBytes)};
  for (uint32_t i = 0; i < config.numAttrs; ++i) {
    const cudaLaunchAttribute& attribute = config.attrs[i];
    if (attribute.id == cudaLaunchAttributeClusterDimension) {
      shape.cluster = attribute.val.clusterDim.x;
    } else {
      shape.overlaps = attribute.val.programmaticStreamSerializationAllowed;
    }
  }
  return shape;
}

void check_place(const char* what, cudaStream_t stream) {
  if (current_device != kDevice) throw Failure(std::string(what) + " on another device");
  if (stream != kStream) throw Failure(std::string(what) + " in another stream");
}

}  // namespace

static_assert(octconv::kJointGradRegisters == octconv::kJointRegisters &&
              octconv::kGradSm90Registers == octconv::kSm90Registers);
cudaError_t find_attributes(cudaFuncAttributes& attributes, const char* params) {
  ++questions;
  const std::string name = name_of(params);
  if (name == refused) return last_error = refusal;
  if (name == "ForwardParams") {
    attributes.numRegs =
        octconv::ForwardTraits<octconv::BFloat16, false, octconv::WideTiles>::kRegisters;
  } else {
    attributes.numRegs =
        std::strstr(params, "Joint") ? octconv::kJointRegisters : octconv::kSm90Registers;
  }
  return cudaSuccess;
}

int most_clusters(const cudaLaunchConfig_t& config) {
  ++questions;
  return has_room ? kMultiprocessors / static_cast<int>(shape_of(config).cluster) : 0;
}

cudaError_t launch_grid(const cudaLaunchConfig_t& config, const void* kernel, const char* type,
                        const void* params, const std::function<void()>& run) {
  check_place("a launch", config.stream);
  constexpr size_t kAlwaysAllowed = 48 * 1024;
  const size_t limit = std::max(kAlwaysAllowed, shared_limits[kernel]);
  if (config.dynamicSmemBytes > limit) return last_error = cudaErrorInvalidValue;
  const octconv::LaunchShape shape = shape_of(config);
  launches << name_of(type) << ' ' << shape.blocks << ' ' << shape.cluster << ' ' << shape.overlaps
           << ' ' << translations().count(kernel) << '\n';
  device->run(shape, kernel, params, run);
  return cudaSuccess;
}

}  // namespace emulation

using namespace emulation;

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  ++questions;
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = kMultiprocessors;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = kMostSharedBytes;
  }
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* index) {
  *index = current_device;
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  ++questions;
  if (value > static_cast<int>(kMostSharedBytes)) return last_error = cudaErrorInvalidValue;
  shared_limits[kernel] = value;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "invalid argument";
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  check_place("a memset", stream);
  device->set(memory, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, int,
                                             cudaDriverEntryPointQueryResult* result) {
  *function = reinterpret_cast<void*>(&cuTensorMapEncodeTiled);
  *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType, cuuint32_t rank,
                                void* address, const cuuint64_t* sizes, const cuuint64_t* strides,
                                const cuuint32_t* box, const cuuint32_t* steps,
                                CUtensorMapInterleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  ++maps;
  const bool has_rows_of_swizzle = swizzle == CU_TENSOR_MAP_SWIZZLE_NONE ||
                                   box[0] == (swizzle == CU_TENSOR_MAP_SWIZZLE_64B ? 32 : 64);
  if (!has_rows_of_swizzle || std::any_of(steps, steps + rank, [](auto s) { return s != 1; })) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const TensorDescription description =
      describe_tensor(address, rank, sizes, strides, box, swizzle != CU_TENSOR_MAP_SWIZZLE_NONE);
  std::memcpy(map, &description, sizeof *map);
  return CUDA_SUCCESS;
}

extern "C" {

AOTITorchError aoti_torch_get_current_cuda_stream(int32_t index, void** stream) {
  *stream = index == kDevice ? kStream : nullptr;
  return AOTI_TORCH_SUCCESS;
}

AOTITorchError aoti_torch_get_device_index(AtenTensorHandle, int32_t* index) {
  *index = kDevice;
  return AOTI_TORCH_SUCCESS;
}

AOTITorchError aoti_torch_create_device_guard(int32_t index, DeviceGuardHandle* guard) {
  *guard = reinterpret_cast<DeviceGuardHandle>(new int(std::exchange(current_device, index)));
  return AOTI_TORCH_SUCCESS;
}
AOTITorchError aoti_torch_delete_device_guard(DeviceGuardHandle guard) {
  const std::unique_ptr<int> before(reinterpret_cast<int*>(guard));
  current_device = *before;
  return AOTI_TORCH_SUCCESS;
}

// Kernels may touch what the operators have asked the address of.
AOTITorchError torch_get_const_data_ptr(AtenTensorHandle tensor, const void** data) {
  static const auto get = in_torch<decltype(torch_get_const_data_ptr)>("torch_get_const_data_ptr");
  const AOTITorchError error = get(tensor, data);
  device->lend("an operand", const_cast<void*>(*data), bytes_of(tensor), false);
  return error;
}
AOTITorchError torch_get_mutable_data_ptr(AtenTensorHandle tensor, void** data) {
  static const auto get =
      in_torch<decltype(torch_get_mutable_data_ptr)>("torch_get_mutable_data_ptr");
  const AOTITorchError error = get(tensor, data);
  device->lend("a result", *data, bytes_of(tensor), true);
  return error;
}

AOTITorchError aoti_torch_library_init_def(const char*, const char* file, uint32_t line,
                                           TorchLibraryHandle* library) {
  const auto init = in_torch<decltype(aoti_torch_library_init_def)>("aoti_torch_library_init_def");
  return init(LIBRARY, file, line, library);
}
AOTITorchError aoti_torch_library_init_impl(const char*, const char* key, const char* file,
                                            uint32_t line, TorchLibraryHandle* library) {
  const auto init =
      in_torch<decltype(aoti_torch_library_init_impl)>("aoti_torch_library_init_impl");
  const bool cuda = std::strcmp(key, "CUDA") == 0;
  return init(LIBRARY, cuda ? "CPU" : key, file, line, library);
}

// For Python. A device for the calls that come, as options.h has it; and a line for each launch on
// it: the type of the parameters, blocks, blocks of a cluster, whether it overlaps, and whether it
// is translated from PTX.
void emulated_begin(int schedule, bool late, uint64_t seed, uint32_t resident_blocks, bool room) {
  device = std::make_unique<Device>(
      Options{static_cast<Schedule>(schedule), late, seed, resident_blocks, false});
  has_room = room;
  questions = maps = 0;
  refused.clear();
  launches.str("");
}

// The code of kernels whose parameters are of this type does not load: no memory, or another error.
void emulated_refuse(const char* params, bool for_memory) {
  refused = params;
  refusal = for_memory ? cudaErrorMemoryAllocation : cudaErrorInvalidValue;
}

int emulated_questions() { return questions; }
int emulated_maps() { return maps; }

const char* emulated_launches() {
  static std::string text;
  text = launches.str();
  return text.c_str();
}

}  // extern "C"
