// The emulated device as its host sees it: buffers, launches, counters.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "launch_shape.h"
#include "memory.h"
#include "options.h"

namespace emulation {

class Device {
 public:
  explicit Device(const Options& options) : engine_(options) {}

  // A copy of `data`, which kernels may only read.
  const void* input(const std::string& name, const void* data, size_t bytes);
  // NaNs, each byte of which the kernels must have written in the end.
  void* output(const std::string& name, size_t bytes);
  // NaNs that kernels may write and, where written, read.
  void* workspace(const std::string& name, size_t bytes);
  // The same, of zeros.
  void* zeros(const std::string& name, size_t bytes);

  // The memory of somebody else, in place of what lay there before: one that kernels read, and have
  // written if it was theirs, or NaNs that they may write.
  void lend(const std::string& name, void* memory, size_t bytes, bool writable);
  // Sets a part of what kernels may write.
  void set(void* memory, int value, size_t bytes);

  // Runs kernel(params) as a grid, or what has been translated of the kernel's PTX, if it has been.
  // The launchers of real devices have the same form.
  template <typename Params>
  void launch(void (*kernel)(Params), const octconv::LaunchShape& shape,
              const std::remove_cv_t<Params>& params) {
    run(shape, reinterpret_cast<const void*>(kernel), &params, [&] { kernel(params); });
  }
  void run(const octconv::LaunchShape& shape, const void* kernel, const void* params,
           const std::function<void()>& in_cpp);

  // To be called when all is done: every byte of the outputs must be written.
  void check_outputs() const;
  const Counters& counters() const { return engine_.counters; }

 private:
  struct Free {
    void operator()(void* memory) const;
  };

  std::byte* add(const std::string& name, size_t bytes, bool writable);

  Engine engine_;
  std::vector<std::unique_ptr<void, Free>> memory_;  // red zones included
  std::vector<Buffer> buffers_;
  std::vector<size_t> outputs_;
};

}  // namespace emulation
