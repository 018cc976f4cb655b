// Host twin of csrc/device/sm90/cluster.cuh.
#pragma once

#include <cstdint>

#include "device/memory.cuh"
#include "device/sm90/barrier.cuh"
#include "runtime/engine.h"

namespace octconv::ptx {

using emulation::Site;

inline uint32_t cluster_rank() {
  return emulation::self->block->index % emulation::engine->shape().cluster;
}

inline void arrive_cluster(Site at = Site::current()) { emulation::arrive_cluster(at); }
inline void wait_cluster(Site at = Site::current()) { emulation::wait_cluster(at); }

inline void arrive_at(uint32_t barrier, uint32_t rank, Site at = Site::current()) {
  constexpr const char* kName = "arrive_at";
  const emulation::Place place = emulation::place_of_rank(barrier, rank, kName, at);
  uint64_t memory;
  read_word(memory, emulation::use_barrier(place, kName, at));
  emulation::arrive(place, 0, kName, at);
}

template <typename Word>
void load_cluster(Word& value, uint32_t address, uint32_t rank, Site at = Site::current()) {
  read_word(value, emulation::shared_of_rank(address, rank, sizeof(Word), at));
}

}  // namespace octconv::ptx
