// Host twin of csrc/device/sm90/barrier.cuh. A barrier's memory holds nothing here; it is touched
// for the sanitizers.
#pragma once

#include <cstdint>

#include "device/memory.cuh"
#include "runtime/counting_barrier.h"

namespace octconv::ptx {

using emulation::Site;

constexpr uint32_t kBarrierBytes = 8;

inline void touch_barrier(uint32_t barrier, const char* instruction, Site at) {
  uint64_t memory;
  read_word(memory, emulation::use_barrier(emulation::own_place(barrier), instruction, at));
}

inline void init_barrier(uint32_t barrier, uint32_t arrivals, Site at = Site::current()) {
  write_word(emulation::init_barrier(barrier, arrivals, at), uint64_t{0});
}

inline void fence_barriers() { emulation::fence_barriers(); }

inline void arrive(uint32_t barrier, Site at = Site::current()) {
  touch_barrier(barrier, "arrive", at);
  emulation::arrive(emulation::own_place(barrier), 0, "arrive", at);
}

inline void arrive_expecting(uint32_t barrier, uint32_t bytes, Site at = Site::current()) {
  touch_barrier(barrier, "arrive_expecting", at);
  emulation::arrive(emulation::own_place(barrier), bytes, "arrive_expecting", at);
}

inline bool try_wait(uint32_t barrier, uint32_t parity, Site at = Site::current()) {
  touch_barrier(barrier, "try_wait", at);
  return emulation::try_wait(barrier, parity, "try_wait", at);
}

inline void wait_barrier(uint32_t barrier, uint32_t parity, Site at = Site::current()) {
  touch_barrier(barrier, "wait_barrier", at);
  emulation::try_wait(barrier, parity, "wait_barrier", at);
}

inline void fence_shared() { emulation::fence_shared(); }

}  // namespace octconv::ptx
