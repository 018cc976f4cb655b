// Planted bugs: blocks that leave partial sums to the one that comes last.
#pragma once

#include "planted/params.cuh"

namespace octconv::planted {

enum class SplitBug {
  kNone,
  kNoBarrier,
  kNoRelease,
  kEarlyRelease,
  kNoAcquire,
  kNoTicket,
  kFirstTicket,
};

// Each block leaves a value per thread; the last to arrive adds those of all blocks.
template <SplitBug kBug>
__device__ __forceinline__ void add_blocks(const Params& p) {
  ptx::SharedMemory shared;
  const uint32_t ticket = shared.take(16), thread = ptx::thread_x(), blocks = ptx::blocks_x();
  uint32_t word;
  ptx::load_constant(word, p.in + ptx::block_x() * 64 + thread);
  ptx::store_global(p.workspace + ptx::block_x() * 64 + thread, word);
  if (kBug == SplitBug::kEarlyRelease) ptx::fence_device();
  if (kBug != SplitBug::kNoBarrier) ptx::sync_block();
  if (thread == 0) {
    if (kBug != SplitBug::kNoRelease && kBug != SplitBug::kEarlyRelease) ptx::fence_device();
    const uint32_t arrived = ptx::atomic_add_relaxed(p.counters, 1);
    if (kBug != SplitBug::kNoAcquire) ptx::fence_device();
    ptx::store_shared(ticket, arrived);
  }
  ptx::sync_block();
  uint32_t arrived;
  ptx::load_shared(arrived, ticket);
  const uint32_t last = kBug == SplitBug::kFirstTicket ? 0 : blocks - 1;
  if (kBug != SplitBug::kNoTicket && arrived != last) return;
  float sum = 0;
  for (uint32_t block = 0; block < blocks; ++block) {
    ptx::load_global(word, p.workspace + block * 64 + thread);
    sum += ptx::as_float(word);
  }
  ptx::store_global(p.out + thread, ptx::as_bits(sum));
}

// Thread 0 arrives for its block before the others have stored.
template <bool kBroken>
__global__ void arrival_before_barrier(const Params p) {
  add_blocks<kBroken ? SplitBug::kNoBarrier : SplitBug::kNone>(p);
}

// A relaxed atomic releases nothing by itself.
template <bool kBroken>
__global__ void missing_release_fence(const Params p) {
  add_blocks<kBroken ? SplitBug::kNoRelease : SplitBug::kNone>(p);
}

// A fence releases what came before it: not what thread 0 sees at the barrier behind it.
template <bool kBroken>
__global__ void fence_before_barrier(const Params p) {
  add_blocks<kBroken ? SplitBug::kEarlyRelease : SplitBug::kNone>(p);
}

template <bool kBroken>
__global__ void missing_acquire_fence(const Params p) {
  add_blocks<kBroken ? SplitBug::kNoAcquire : SplitBug::kNone>(p);
}

// Every block adds, whoever has come.
template <bool kBroken>
__global__ void partial_sums_without_ticket(const Params p) {
  add_blocks<kBroken ? SplitBug::kNoTicket : SplitBug::kNone>(p);
}

// The block that comes first adds.
template <bool kBroken>
__global__ void partial_sums_by_first(const Params p) {
  add_blocks<kBroken ? SplitBug::kFirstTicket : SplitBug::kNone>(p);
}

// Blocks of one warp, for which lane 0 arrives.
template <bool kBroken, bool kBeforeArrival>
__device__ __forceinline__ void add_warps(const Params& p) {
  const uint32_t lane = ptx::lane(), blocks = ptx::blocks_x();
  uint32_t word, arrived = 0;
  ptx::load_constant(word, p.in + ptx::block_x() * 32 + lane);
  ptx::store_global(p.workspace + ptx::block_x() * 32 + lane, word);
  if (!kBroken || !kBeforeArrival) ptx::sync_warp();
  if (lane == 0) arrived = ptx::atomic_add(p.counters, 1);
  arrived = ptx::shuffle(arrived, 0);
  if (arrived != blocks - 1) return;
  if (!kBroken || kBeforeArrival) ptx::sync_warp();
  float sum = 0;
  for (uint32_t block = 0; block < blocks; ++block) {
    ptx::load_global(word, p.workspace + block * 32 + lane);
    sum += ptx::as_float(word);
  }
  ptx::store_global(p.out + lane, ptx::as_bits(sum));
}

template <bool kBroken>
__global__ void arrival_before_warp_sync(const Params p) {
  add_warps<kBroken, true>(p);
}

// What lane 0 acquired reaches the other lanes by a warp sync, not by a shuffle.
template <bool kBroken>
__global__ void acquired_by_lane_0_only(const Params p) {
  add_warps<kBroken, false>(p);
}

}  // namespace octconv::planted
