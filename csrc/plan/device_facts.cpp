#include "plan/device_facts.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <tuple>

namespace octconv {
namespace {

// An H100's were measured: clock under load, mma.sync alone, reads from L2 (7.7 TB/s), copies. H200
// has the same but for its memory, measured with copies. Of others hmma, the peak rate, and
// memory_bytes are nominal, l2_bytes guessed. launch_us is guessed everywhere.
constexpr DeviceFacts kDevices[] = {
    // name, capability, SMs, shared of block and SM, clock, hmma, wavefronts, l2_bytes,
    // memory_bytes, launch_us
    {"A100", 8, 0, 108, 166912, 167936, 1.41e9, 0.5, 1, 30, 1.56e12, 2.5},
    {"RTX 3090", 8, 6, 82, 101376, 102400, 1.70e9, 0.125, 1, 15, 0.94e12, 2.5},
    {"RTX 4090", 8, 9, 128, 101376, 102400, 2.52e9, 0.125, 1, 15, 1.01e12, 2.5},
    {"H100", 9, 0, 132, 232448, 233472, 1.84e9, 0.66, 1, 31.6, 3.0e12, 2.5},
    {"H200", 9, 0, 132, 232448, 233472, 1.84e9, 0.66, 1, 31.6, 4.3e12, 2.5},
};

// A target of the compiler, such as 8.0+PTX or 9.0a, whose code runs on just that.
struct Target {
  int32_t major = 0, minor = 0;
  bool alone, ptx;

  explicit Target(std::string_view arch)
      : alone(arch.find('a') != arch.npos), ptx(arch.find("+PTX") != arch.npos) {
    const char* end = arch.data() + arch.size();
    const auto [dot, error] = std::from_chars(arch.data(), end, major);
    if (dot < end) std::from_chars(dot + 1, end, minor);
  }
  bool is(int32_t other_major, int32_t other_minor) const {
    return major == other_major && minor == other_minor;
  }
  bool runs_on(int32_t other_major, int32_t other_minor) const {
    if (alone) return is(other_major, other_minor);
    return std::tie(major, minor) <= std::tie(other_major, other_minor) &&
           (ptx || major == other_major);
  }
};

template <typename Visit>
void for_each_target(std::string_view archs, const Visit& visit) {
  while (!archs.empty()) {
    const size_t end = std::min(archs.find(';'), archs.size());
    visit(Target(archs.substr(0, end)));
    archs.remove_prefix(std::min(end + 1, archs.size()));
  }
}

// Beside code for 9.0 a card may choose that.
bool serves_as_90a(std::string_view archs) {
  bool has_90a = false, has_90 = false;
  for_each_target(archs, [&](const Target& target) {
    if (target.is(9, 0)) (target.alone ? has_90a : has_90) = true;
  });
  return has_90a && !has_90;
}

bool runs_on(std::string_view archs, int32_t major, int32_t minor) {
  bool runs = false;
  for_each_target(archs, [&](const Target& target) { runs |= target.runs_on(major, minor); });
  return runs;
}

}  // namespace

const DeviceFacts* known_device(std::string_view name) {
  for (const DeviceFacts& device : kDevices) {
    if (name == device.name) return &device;
  }
  return nullptr;
}

std::string known_devices() {
  std::string names;
  for (const DeviceFacts& device : kDevices) {
    if (!names.empty()) names += ", ";
    names += device.name;
  }
  return names;
}

DeviceFacts device_facts(int32_t major, int32_t minor, int32_t multiprocessors,
                         int32_t shared_per_block, std::string_view archs) {
  // Shared memory comes first: it tells the data centre's devices from the others.
  const auto distance = [&](const DeviceFacts& device) {
    return std::make_tuple(std::abs(device.shared_per_block - shared_per_block),
                           std::abs(10 * (device.major - major) + device.minor - minor),
                           std::abs(device.multiprocessors - multiprocessors));
  };
  const DeviceFacts* nearest = kDevices;
  for (const DeviceFacts& device : kDevices) {
    if (distance(device) < distance(*nearest)) nearest = &device;
  }
  DeviceFacts facts = *nearest;
  facts.major = major, facts.minor = minor;  // all that is set here is part of PlanCacheOf's key
  facts.has_code_90a = serves_as_90a(archs);
  facts.has_code = runs_on(archs, major, minor);
  facts.multiprocessors = multiprocessors;
  facts.shared_per_multiprocessor += shared_per_block - facts.shared_per_block;
  facts.shared_per_block = shared_per_block;
  return facts;
}

}  // namespace octconv
