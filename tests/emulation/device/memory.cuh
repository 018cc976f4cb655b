// Host twin of csrc/device/memory.cuh.
#pragma once

#include <cstdint>
#include <cstring>

#include "runtime/memory.h"

namespace octconv::ptx {

using emulation::Access;
using emulation::Site;

struct alignas(16) Word128 {
  uint32_t word[4];
};

template <typename Word>
void load_constant(Word& value, const void* address, Site at = Site::current()) {
  std::memcpy(&value,
              emulation::global(address, sizeof(Word), Access::kReadConstant, "load_constant", at),
              sizeof(Word));
}

template <typename Word>
void load_global(Word& value, const void* address, Site at = Site::current()) {
  std::memcpy(&value, emulation::global(address, sizeof(Word), Access::kRead, "load_global", at),
              sizeof(Word));
}

template <typename Word>
void store_global(void* address, Word value, Site at = Site::current()) {
  std::memcpy(emulation::global(address, sizeof(Word), Access::kWrite, "store_global", at), &value,
              sizeof(Word));
}

template <typename Word>
void load_shared(Word& value, uint32_t address, Site at = Site::current()) {
  std::memcpy(&value, emulation::shared(address, sizeof(Word), "load_shared", at), sizeof(Word));
  emulation::count_shared(address, sizeof(Word), false, at);
}

template <typename Word>
void store_shared(uint32_t address, Word value, Site at = Site::current()) {
  std::memcpy(emulation::shared(address, sizeof(Word), "store_shared", at), &value, sizeof(Word));
  emulation::count_shared(address, sizeof(Word), true, at);
}

class SharedMemory {
 public:
  uint32_t take(uint32_t bytes, Site at = Site::current()) {
    return emulation::take_shared(bytes, at);
  }
};

}  // namespace octconv::ptx
