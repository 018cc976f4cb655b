// What is known of a CUDA device, and whether the library's kernels run on it.
#pragma once

#include <torch/csrc/stable/accelerator.h>

#include <set>
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

// Whether `ask()` says yes on a device. A no is not remembered: the moment may have been a bad one,
// such as a graph's capture.
template <typename Key, typename Ask>
bool ask_until_yes(std::set<Key>& known, const Key& key, int device, const Ask& ask) {
  if (known.find(key) != known.end()) return true;
  const torch::stable::accelerator::DeviceGuard guard(device);
  const bool yes = ask();
  if (yes) known.insert(key);
  return yes;
}

}  // namespace octconv
