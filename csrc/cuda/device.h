// What is known of a CUDA device, and whether the library's kernels run on it.
#pragma once

#include <string>

#include "plan/device_facts.h"

namespace octconv {

struct Device {
  DeviceFacts facts;
  std::string why_no_kernels;  // run on it; empty if they do
};

// The same object for all calls of a thread, which asks the runtime once, and so has the context
// that tensor maps are made in.
const Device& device_of(int index);

}  // namespace octconv
