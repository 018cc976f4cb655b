#include "launch/launch.cuh"

#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

namespace octconv {

void check_one_kernel(int found) {
  if (found == 1) return;
  throw std::logic_error("octconv_cuda: a plan must mean one kernel, got " + std::to_string(found));
}

// The limit is one for all threads: it only grows, under a lock. It takes the driver long to set,
// so that is done once.
void allow_shared_bytes(const void* kernel, uint32_t bytes) {
  constexpr uint32_t kAlwaysAllowed = 48 * 1024;
  if (bytes <= kAlwaysAllowed) return;
  static std::mutex mutex;
  static std::map<std::pair<int, const void*>, uint32_t> limits;
  int device = 0;
  cudaGetDevice(&device);
  const std::lock_guard lock(mutex);
  uint32_t& limit = limits[{device, kernel}];
  if (bytes <= limit) return;
  const cudaError_t error = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (error == cudaSuccess) limit = bytes;
}

}  // namespace octconv
