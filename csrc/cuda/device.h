// What is known of a CUDA device, and whether the library's kernels run on it.
#pragma once

#include <string>

#include "plan/device_facts.h"

namespace octconv {

struct Device {
  DeviceFacts facts;
  std::string why_no_kernels = {};  // run on it; empty if they do
  bool is_known = false;            // without an error of the runtime
};

// A thread asks the runtime until there is no error. Then it has a context on the device, without
// which the driver makes no tensor maps.
const Device& device_of(int index);

}  // namespace octconv
