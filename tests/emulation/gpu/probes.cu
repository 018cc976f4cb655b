// Runs the probes, and gemm, on the real device: a library of plain C functions for ctypes. Each
// takes memory of the host and returns what went wrong, or null.
#include <cuda.h>
#include <cuda_runtime.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/gemm.cuh"
#include "kernels/probe_list.cuh"
#include "launch/launch_config.cuh"

namespace octconv {
namespace {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

// Memory of the device: a copy of `data`, or else bytes of `fill`.
class Buffer {
 public:
  explicit Buffer(size_t bytes, int fill = 0xFF) : bytes_(bytes) {
    check(cudaMalloc(&data_, bytes ? bytes : 1), "cudaMalloc");
    check(cudaMemset(data_, fill, bytes), "cudaMemset");
  }
  Buffer(const void* data, size_t bytes) : Buffer(bytes) {
    check(cudaMemcpy(data_, data, bytes, cudaMemcpyHostToDevice), "copy to the device");
  }
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  void copy_to(void* host) const {
    check(cudaMemcpy(host, data_, bytes_, cudaMemcpyDeviceToHost), "copy to the host");
  }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

template <typename Params>
void launch(void (*kernel)(Params), const LaunchShape& shape, const Params& params) {
  check(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shape.shared_bytes),
      "shared memory");
  const LaunchConfig launch(shape, nullptr);
  check(cudaLaunchKernelEx(&launch.config, kernel, params), "launch");
  check(cudaDeviceSynchronize(), "kernel");
}

// In the swizzle of as many bytes as a row of the box, 64 or 128.
TensorMap tensor_map(const ProbeTensor& tensor, void* memory) {
  void* encode = nullptr;
  cudaDriverEntryPointQueryResult result{};
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &encode, 12000,
                                         cudaEnableDefault, &result),
        "tensor maps");
  constexpr cuuint32_t kDense[5] = {1, 1, 1, 1, 1};
  cuuint64_t sizes[5], strides[4];
  for (int i = 0; i < 5; ++i) sizes[i] = tensor.sizes[i];
  for (int i = 0; i < 4; ++i) strides[i] = tensor.strides[i];
  const auto swizzle = tensor.box[0] == 32 ? CU_TENSOR_MAP_SWIZZLE_64B : CU_TENSOR_MAP_SWIZZLE_128B;
  CUtensorMap made;
  const CUresult error = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(encode)(
      &made, CU_TENSOR_MAP_DATA_TYPE_UINT16, static_cast<cuuint32_t>(tensor.rank),
      static_cast<char*>(memory) + tensor.offset, sizes, strides, tensor.box, kDense,
      CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (error != CUDA_SUCCESS) throw std::runtime_error("the driver refuses a tensor map");
  TensorMap map;
  static_assert(sizeof map == sizeof made);
  std::memcpy(&map, &made, sizeof map);
  return map;
}

void run_probe(const Probe& probe, const void* in, void* out) {
  const Buffer of_in(in, probe.in_bytes), of_out(probe.out_bytes);
  const Buffer counters(kProbeCounters * sizeof(uint32_t), 0);
  ProbeParams p{of_in.data(), of_out.data(), static_cast<uint32_t*>(counters.data()), {}};
  for (uint32_t i = 0; i < kProbeMaps; ++i) {
    const ProbeTensor& tensor = probe.tensors[i];
    if (tensor.rank == 0) continue;
    p.maps[i] = tensor_map(tensor, (tensor.of_output ? of_out : of_in).data());
  }
  launch(probe.kernel, probe.shape, p);
  of_out.copy_to(out);
}

// `p` but for its pointers.
template <typename T>
void run_gemm(GemmParams p, const void* a, const void* b, void* c) {
  const Buffer of_a(a, sizeof(T) * p.m * p.k), of_b(b, sizeof(T) * p.n * p.k);
  const Buffer of_c(sizeof(T) * p.m * p.n);
  const Buffer partial_sums(p.splits > 1 ? gemm_partial_sums(p) * sizeof(float) : 0);
  const Buffer arrivals(gemm_tiles(p) * sizeof(uint32_t), 0);
  p.a = of_a.data(), p.b = of_b.data(), p.c = of_c.data();
  p.partial_sums = static_cast<float*>(partial_sums.data());
  p.arrivals = static_cast<uint32_t*>(arrivals.data());
  with_gemm<T>([&](auto traits) {
    using Traits = decltype(traits);
    launch(gemm<Traits>, gemm_shape<Traits>(p), p);
  });
  of_c.copy_to(c);
}

template <typename Run>
const char* message_of(const Run& run) {
  static std::string message;
  try {
    run();
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
    return message.c_str();
  }
}

}  // namespace
}  // namespace octconv

// A line for each probe: its name, the bytes of its input and of its output.
extern "C" const char* probes() {
  static std::string lines;
  lines.clear();
  for (const octconv::Probe& probe : octconv::kProbes) {
    lines += std::string(probe.name) + " " + std::to_string(probe.in_bytes) + " " +
             std::to_string(probe.out_bytes) + "\n";
  }
  return lines.c_str();
}

extern "C" const char* probe(const char* name, const void* in, void* out) {
  return octconv::message_of([&] {
    for (const octconv::Probe& each : octconv::kProbes) {
      if (each.name == std::string(name)) return octconv::run_probe(each, in, out);
    }
    throw std::runtime_error(std::string("no probe is named ") + name);
  });
}

// a (m, k) and b (n, k); dtype is a name of torch.
extern "C" const char* gemm(const char* dtype, const void* a, const void* b, void* c, int32_t m,
                            int32_t n, int32_t k, uint32_t splits) {
  return octconv::message_of([&] {
    octconv::GemmParams p{};
    p.m = m, p.n = n, p.k = k, p.splits = splits;
    const std::string type = dtype;
    if (type == "bfloat16") return octconv::run_gemm<octconv::BFloat16>(p, a, b, c);
    if (type == "float16") return octconv::run_gemm<octconv::Float16>(p, a, b, c);
    if (type == "float32") return octconv::run_gemm<octconv::TFloat32>(p, a, b, c);
    throw std::runtime_error("no gemm of " + type);
  });
}
