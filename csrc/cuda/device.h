// What is known of a CUDA device, and whether the library's kernels run on it.
#pragma once

#include <torch/csrc/stable/accelerator.h>

#include <map>
#include <string>

#include "launch/answer.h"
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

// Whether the Answer of `ask()`, on a device, is yes; remembered if there is one.
template <typename Key, typename Ask>
bool ask_once(std::map<Key, bool>& known, const Key& key, int device, const Ask& ask) {
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  const torch::stable::accelerator::DeviceGuard guard(device);
  const Answer answer = ask();
  if (answer) known[key] = *answer;
  return answer.value_or(false);
}

}  // namespace octconv
