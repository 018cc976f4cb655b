// Host twin of csrc/device/copy_async.cuh. Late, a copy turns its target to NaNs at once and lands
// when its thread waits for it.
#pragma once

#include <cstdint>
#include <cstring>

#include "runtime/engine.h"
#include "runtime/memory.h"

namespace octconv::ptx {

using emulation::Site;

inline void land(const emulation::Copy& copy) {
  unsigned char bytes[16] = {};
  std::memcpy(bytes, copy.source, copy.source_bytes);
  std::memcpy(copy.target, bytes, 16);
}

inline void copy_async(uint32_t shared, const void* source, uint32_t source_bytes = 16,
                       Site at = Site::current()) {
  const emulation::Copy copy = emulation::begin_copy(shared, source, source_bytes, at);
  if (!emulation::engine->options().late) return land(copy);
  unsigned char nans[16];
  std::memset(nans, 0xFF, 16);
  std::memcpy(copy.target, nans, 16);  // which thread sanitizer sees, unlike a memset of this size
}

inline void copy_async_if(bool wanted, uint32_t shared, const void* source,
                          uint32_t source_bytes = 16, Site at = Site::current()) {
  if (wanted) copy_async(shared, source, source_bytes, at);
}

inline void commit_copies() { emulation::commit_copies(); }

template <int kPending>
void wait_copies() {
  for (emulation::Copy copy; emulation::next_to_land(kPending, copy);) land(copy);
}

}  // namespace octconv::ptx
