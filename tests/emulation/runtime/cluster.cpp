#include "cluster.h"

#include <algorithm>
#include <string>

#include "engine.h"
#include "memory.h"
#include "sanitizers.h"

namespace emulation {
namespace {

// Ends the phase if all threads have arrived that could.
void end_phase(Cluster& cluster) {
  if (cluster.arrived == 0 || cluster.arrived != cluster.running) return;
  ++cluster.phases;
  cluster.arrived = 0;
  for (const Thread* thread : cluster.waiting) thread->warp->ready |= 1u << thread->lane;
  cluster.waiting.clear();
}

void enter(Cluster& cluster) {
  cluster.arrived += kLanes;
  end_phase(cluster);
}

// ptxas makes the barrier of a launch without clusters a sync_block at the wait.
bool meets_at_wait(const Cluster& cluster) { return cluster.blocks.size() == 1; }

}  // namespace

void arrive_cluster(const Site& at) {
  release(&self->block->cluster->sync_objects[self->warp->cluster_arrivals % 2]);
  meet("arrive_cluster", at, nullptr, [](Warp& warp) {
    if (warp.cluster_waits != warp.cluster_arrivals) {
      fail(warp.instruction, warp.at, "no wait_cluster since the last one");
    }
    ++warp.cluster_arrivals;
    Cluster& cluster = *self->block->cluster;
    if (!meets_at_wait(cluster)) enter(cluster);
  });
}

void wait_cluster(const Site& at) {
  constexpr const char* kName = "wait_cluster";
  Cluster& cluster = *self->block->cluster;
  meet(kName, at, nullptr, [](Warp& warp) {
    if (warp.cluster_waits == warp.cluster_arrivals) {
      fail(warp.instruction, warp.at, "no arrive_cluster before it");
    }
    ++warp.cluster_waits;
    Cluster& cluster = *self->block->cluster;
    if (meets_at_wait(cluster)) enter(cluster);
  });
  const uint32_t phases = self->warp->cluster_waits;
  {
    const IgnoreAccesses ignore;
    if (cluster.phases < phases) {
      cluster.waiting.push_back(self);
      sleep(kName, at);
    }
  }
  acquire(&cluster.sync_objects[(phases - 1) % 2]);
  self->fenced = false;
}

void leave_cluster() {
  constexpr const char* kName = "exit";
  const Block& block = *self->block;
  const Warp& warp = *self->warp;
  Cluster& cluster = *block.cluster;
  if (warp.cluster_waits != warp.cluster_arrivals) {
    fail(kName, Site::current(), "the thread has not waited for the cluster, where it has arrived");
  }
  if (block.running == 1 && block.cluster_phases > cluster.phases) {
    fail(kName, Site::current(),
         "the block ends, whose shared memory others have read since the cluster's last barrier");
  }
  --cluster.running;
  end_phase(cluster);
}

Place place_of_rank(uint32_t address, uint32_t rank, const char* instruction, const Site& at) {
  const Cluster& cluster = *self->block->cluster;
  if (rank >= cluster.blocks.size()) {
    fail(instruction, at,
         "rank " + std::to_string(rank) + " in a cluster of " +
             std::to_string(cluster.blocks.size()));
  }
  // Before it, on a GPU, the other block may not even have started.
  if (cluster.phases == 0) fail(instruction, at, "before the first barrier of the cluster");
  Block& block = *cluster.blocks[rank];
  if (block.running == 0) {
    fail(instruction, at, "block " + std::to_string(block.index) + " of the cluster has ended");
  }
  return {&block, address - self->block->first_address + block.first_address};
}

const std::byte* shared_of_rank(uint32_t address, uint32_t rank, uint32_t bytes, const Site& at) {
  constexpr const char* kName = "load_cluster";
  const IgnoreAccesses ignore;
  const Place place = place_of_rank(address, rank, kName, at);
  // The next barrier that this warp can arrive at is the first that comes after the load.
  if (place.block != self->block) {
    place.block->cluster_phases =
        std::max(place.block->cluster_phases, self->warp->cluster_arrivals + 1);
  }
  check_aligned(address, bytes, kName, at);
  engine->counters.cluster_bytes += bytes;
  return shared_range(*place.block, place.address, bytes, kName, at);
}

}  // namespace emulation
