// Planted bugs: clusters of two blocks, which read each other's shared memory.
#pragma once

#include "device/sm90/cluster.cuh"
#include "planted/params.cuh"

namespace octconv::planted {

__device__ __forceinline__ uint32_t thread_of_cluster() {
  return ptx::block_x() * ptx::threads_x() + ptx::thread_x();
}

// Stores the thread's input, plus `more`, to its word of shared memory.
__device__ __forceinline__ void share(const Params& p, uint32_t words, uint32_t more = 0) {
  uint32_t value;
  ptx::load_constant(value, p.in + more + thread_of_cluster());
  ptx::store_shared(words + 4 * ptx::thread_x(), value);
}

// Writes what the same thread of the cluster's other block has shared.
__device__ __forceinline__ void take(const Params& p, uint32_t words, uint32_t to = 0) {
  uint32_t value;
  ptx::load_cluster(value, words + 4 * ptx::thread_x(), ptx::cluster_rank() ^ 1);
  ptx::store_global(p.out + to + thread_of_cluster(), value);
}

__device__ __forceinline__ void meet() {
  ptx::arrive_cluster();
  ptx::wait_cluster();
}

// The other block may not even have started.
template <bool kBroken>
__global__ void read_before_cluster_barrier(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(128);
  share(p, words);
  if (!kBroken) meet();
  take(p, words);
  meet();
}

// A block leaves, with its shared memory, while the other one may still read it.
template <bool kBroken>
__global__ void exit_while_read(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(128);
  share(p, words);
  meet();
  take(p, words);
  if (!kBroken) meet();
}

// The second round's words come while the other block may still read those of the first.
template <bool kBroken>
__global__ void refill_before_cluster_barrier(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(128);
  share(p, words);
  meet();
  take(p, words);
  if (!kBroken) meet();
  share(p, words, 64);
  meet();
  take(p, words, 64);
  meet();
}

// What is written behind the arrival is not seen behind the wait.
template <bool kBroken>
__global__ void cluster_arrival_before_store(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(128);
  if (!kBroken) share(p, words);
  ptx::arrive_cluster();
  if (kBroken) share(p, words);
  ptx::wait_cluster();
  take(p, words);
  meet();
}

// Reads the next block's, without going round.
template <bool kBroken>
__global__ void rank_beyond_cluster(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(128), next = ptx::cluster_rank() + 1;
  share(p, words);
  meet();
  uint32_t value;
  ptx::load_cluster(value, words + 4 * ptx::thread_x(), kBroken ? next : next % 2);
  ptx::store_global(p.out + thread_of_cluster(), value);
  meet();
}

// One warp arrives for its block.
template <bool kBroken>
__global__ void wait_without_arrival(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(256);
  share(p, words);
  if (!kBroken || warp() == 0) ptx::arrive_cluster();
  ptx::wait_cluster();
  take(p, words);
  meet();
}

// At the end a block only says that it has read.
template <bool kBroken>
__global__ void arrival_without_wait(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(128);
  share(p, words);
  meet();
  take(p, words);
  ptx::arrive_cluster();
  if (!kBroken) ptx::wait_cluster();
}

// The lanes of a warp arrive at two places.
template <bool kBroken>
__global__ void divergent_cluster_barrier(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(128);
  share(p, words);
  if (kBroken && ptx::lane() < 16) {
    ptx::arrive_cluster();
  } else {
    ptx::arrive_cluster();
  }
  ptx::wait_cluster();
  take(p, words);
  meet();
}

// The warps of a block come to two barriers in different order.
template <bool kBroken>
__global__ void cluster_deadlock(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(256);
  share(p, words);
  if (kBroken && warp() == 1) ptx::sync_block();
  meet();
  if (!kBroken || warp() == 0) ptx::sync_block();
  take(p, words);
  meet();
}

}  // namespace octconv::planted
