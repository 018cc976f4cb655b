// What a plan needs to know of a GPU. Plain C++.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace octconv {

// Counts are NVIDIA's. Rates are assumed, from data sheets and published microbenchmarks, unless
// the list in device_facts.cpp says otherwise.
struct DeviceFacts {
  const char* name;
  int32_t major, minor;  // compute capability
  int32_t multiprocessors;
  int32_t shared_per_block, shared_per_multiprocessor;  // bytes; the former opted in to
  double clock;                                         // Hz
  // Per clock and multiprocessor. hmma: instructions m16n8k16 of 16-bit types that mma.sync
  // reaches; m16n8k8 of tf32 goes at the same rate, with half the arithmetic.
  double hmma, wavefronts, l2_bytes;
  double memory_bytes;  // per second, of the device's memory
  double launch_us;     // of an empty kernel, ramp and end included
  // In the library: for this device, and such as only cards of 9.0 run.
  bool has_code = true, has_code_90a = true;

  // Between threads.
  bool passes_registers() const { return major == 9 && minor == 0 && has_code_90a; }
};

// A known device by its name, such as "H200"; null if there is none.
const DeviceFacts* known_device(std::string_view name);

// "A100, ...", for messages.
std::string known_devices();

// The known device that is most like one of these facts, with them in place of its own. H100 and
// H200 do not differ in them: both get H100's rate of memory. `archs`: what the library's kernels
// are compiled for, such as "8.0;9.0a"; only code for 9.0a passes registers.
DeviceFacts device_facts(int32_t major, int32_t minor, int32_t multiprocessors,
                         int32_t shared_per_block, std::string_view archs);

}  // namespace octconv
