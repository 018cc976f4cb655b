// Host twin of csrc/device/memory.cuh.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/memory.h"

namespace octconv::ptx {

using emulation::Access;
using emulation::Site;

struct alignas(16) Word128 {
  uint32_t word[4];
};

// Moves a word that the runtime has found aligned. Told so, the compiler makes it one access, of
// which thread sanitizer can remember four for each 8 bytes; else it would be one for each byte.
template <typename Word>
void read_word(Word& value, const std::byte* from) {
  std::memcpy(&value, __builtin_assume_aligned(from, sizeof(Word)), sizeof(Word));
}
template <typename Word>
void write_word(std::byte* to, const Word& value) {
  std::memcpy(__builtin_assume_aligned(to, sizeof(Word)), &value, sizeof(Word));
}

template <typename Word>
void load_constant(Word& value, const void* address, Site at = Site::current()) {
  read_word(value,
            emulation::global(address, sizeof(Word), Access::kReadConstant, "load_constant", at));
}

template <typename Word>
void load_global(Word& value, const void* address, Site at = Site::current()) {
  read_word(value, emulation::global(address, sizeof(Word), Access::kRead, "load_global", at));
}

template <typename Word>
void store_global(void* address, Word value, Site at = Site::current()) {
  write_word(emulation::global(address, sizeof(Word), Access::kWrite, "store_global", at), value);
}

template <typename Word>
void store_global_if(bool wanted, void* address, Word value, Site at = Site::current()) {
  if (wanted) store_global(address, value, at);
}

template <typename Word>
void load_shared(Word& value, uint32_t address, Site at = Site::current()) {
  read_word(value, emulation::shared_load(address, sizeof(Word), "load_shared", at));
  emulation::count_shared(address, sizeof(Word), false, at);
}

template <typename Word>
void store_shared(uint32_t address, Word value, Site at = Site::current()) {
  write_word(emulation::shared_store(address, sizeof(Word), "store_shared", at), value);
  emulation::count_shared(address, sizeof(Word), true, at);
}

class SharedMemory {
 public:
  uint32_t take(uint32_t bytes, Site at = Site::current()) {
    return emulation::take_shared(bytes, at);
  }
};

}  // namespace octconv::ptx
