// Clusters: blocks that run together, meet at a barrier of all their threads and read the shared
// memory of each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "counting_barrier.h"
#include "options.h"

namespace emulation {

constexpr uint32_t kMostClusterBlocks = 8;  // what every GPU with clusters can launch

struct Thread;

struct Cluster {
  std::vector<Block*> blocks;  // by rank
  uint32_t running = 0;        // threads that have not exited; 0: the place is free
  uint32_t arrived;            // of them, at the barrier's current phase
  uint32_t phases;             // that have ended
  std::vector<Thread*> waiting;
  std::unique_ptr<char[]> sync_objects;  // thread sanitizer's, by phase
};

void arrive_cluster(const Site& at);
void wait_cluster(const Site& at);

// The running thread exits: the barrier expects it no more.
void leave_cluster();

// Of the block of this rank, which must run, where the running thread's own has this address.
Place place_of_rank(uint32_t address, uint32_t rank, const char* instruction, const Site& at);

// What a load_cluster reads, after its checks.
const std::byte* shared_of_rank(uint32_t address, uint32_t rank, uint32_t bytes, const Site& at);

}  // namespace emulation
