// Plans that are remembered. Plain C++.
#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "dtype.h"
#include "plan/device_facts.h"
#include "problem.h"

namespace octconv {

// Plans follow from what is asked alone: so it does not matter who has a cache. It does not lock:
// one for each thread. A result holds until the next call.
template <auto make, typename... Options>
class PlanCacheOf {
  using Plan = decltype(make({}, {}, {}, Options()...));

 public:
  const Plan& plan(const Problem& p, ElementType type, const DeviceFacts& device,
                   Options... options) {
    // All fields, or problems would share plans: a new one stops the compiler here.
    const auto& [batch, height, width, high_in, low_in, high_out, low_out, kernel, stride, grad] =
        p;
    const Key key{kernel,
                  batch,
                  height,
                  width,
                  high_in,
                  low_in,
                  high_out,
                  low_out,
                  stride,
                  grad,
                  int32_t(type),
                  10 * device.major + device.minor,
                  device.multiprocessors,
                  device.shared_per_block,
                  device.passes_registers(),
                  static_cast<int32_t>(options)...};
    const auto found = plans_.find(key);
    if (found != plans_.end()) return found->second;
    if (plans_.size() == kMostPlans) plans_.clear();  // shapes that change without end
    return plans_[key] = make(p, type, device, options...);
  }

 private:
  static constexpr size_t kMostPlans = 256;
  // The problem, the type, of a device what device_facts puts in place of the known one's, and
  // whatever else is asked.
  using Key = std::array<int32_t, 15 + sizeof...(Options)>;
  std::map<Key, Plan> plans_;
};

}  // namespace octconv
