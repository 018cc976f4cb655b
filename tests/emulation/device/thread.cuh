// Host twin of csrc/device/thread.cuh.
#pragma once

#include <cstdint>

#include "runtime/engine.h"
#include "runtime/warp.h"

namespace octconv::ptx {

using emulation::Site;

constexpr uint32_t kWarpThreads = emulation::kLanes;

inline uint32_t thread_x() { return emulation::self->x; }
inline uint32_t thread_y() { return emulation::self->y; }
inline uint32_t threads_x() { return emulation::engine->shape().threads_x; }
inline uint32_t threads_y() { return emulation::engine->shape().threads_y; }
inline uint32_t block_x() { return emulation::self->block->index; }
inline uint32_t blocks_x() { return emulation::engine->shape().blocks; }
inline uint32_t lane() { return emulation::self->lane; }

inline void sync_block(Site at = Site::current()) {
  const auto warps = static_cast<uint32_t>(emulation::self->block->warps.size());
  emulation::meet_at_barrier(0, warps * kWarpThreads, true, "sync_block", at);
}

inline void check_named(const char* instruction, uint32_t barrier, uint32_t threads, Site at) {
  if (barrier < 1 || barrier >= emulation::kBarriers) {
    emulation::fail(instruction, at, "barrier " + std::to_string(barrier) + ", not 1 to 15");
  }
  if (threads == 0 || threads % kWarpThreads != 0) {
    emulation::fail(instruction, at, std::to_string(threads) + " threads, not a multiple of 32");
  }
}
inline void sync_named(uint32_t barrier, uint32_t threads, Site at = Site::current()) {
  check_named("sync_named", barrier, threads, at);
  emulation::meet_at_barrier(barrier, threads, true, "sync_named", at);
}
inline void arrive_named(uint32_t barrier, uint32_t threads, Site at = Site::current()) {
  check_named("arrive_named", barrier, threads, at);
  emulation::meet_at_barrier(barrier, threads, false, "arrive_named", at);
}

constexpr bool kHopper = true;

template <int kRegisters>
void give_registers() {}
template <int kRegisters>
void take_registers() {}

inline void sync_warp(Site at = Site::current()) { emulation::sync_warp(at); }

inline uint32_t shuffle(uint32_t value, uint32_t source_lane, Site at = Site::current()) {
  return emulation::shuffle(value, source_lane, "shuffle", at);
}
inline uint32_t shuffle_xor(uint32_t value, uint32_t lane_mask, Site at = Site::current()) {
  return emulation::shuffle(value, lane() ^ lane_mask, "shuffle_xor", at);
}

}  // namespace octconv::ptx
