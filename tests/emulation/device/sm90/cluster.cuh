// Host twin of csrc/device/sm90/cluster.cuh.
#pragma once

#include <cstdint>

#include "device/memory.cuh"
#include "runtime/engine.h"

namespace octconv::ptx {

using emulation::Site;

inline uint32_t cluster_rank() {
  return emulation::self->block->index % emulation::engine->shape().cluster;
}

inline void arrive_cluster(Site at = Site::current()) { emulation::arrive_cluster(at); }
inline void wait_cluster(Site at = Site::current()) { emulation::wait_cluster(at); }

template <typename Word>
void load_cluster(Word& value, uint32_t address, uint32_t rank, Site at = Site::current()) {
  read_word(value, emulation::shared_of_rank(address, rank, sizeof(Word), at));
}

}  // namespace octconv::ptx
