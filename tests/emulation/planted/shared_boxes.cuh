// Planted bugs: boxes that the blocks of a cluster load for each other.
#pragma once

#include "device/sm90/cluster.cuh"
#include "planted/box_copies.cuh"
#include "planted/clusters.cuh"

namespace octconv::planted {

enum class ShareBug {
  kNone,
  kBeforeMeeting,
  kHalfExpected,
  kOwnReadersOnly,
  kOwnBlockTold,
  kLeaves,
};

// Twice each of two blocks loads a box for both, and all read both boxes.
template <ShareBug kBug>
__device__ __forceinline__ void share_and_read(const Params& p) {
  ptx::SharedMemory shared;
  const uint32_t stage = shared.take(2 * kBoxBytes), full = shared.take(16), empty = full + 8;
  const uint32_t rank = ptx::cluster_rank();
  constexpr bool kAlone = kBug == ShareBug::kOwnReadersOnly;
  if (ptx::thread_x() == 0) {
    ptx::init_barrier(full, 1);
    ptx::init_barrier(empty, kAlone ? 64 : 128);
    ptx::fence_barriers();
  }
  ptx::sync_block();
  if (kBug != ShareBug::kBeforeMeeting) meet();
  float sum = 0;
  for (uint32_t round = 0; round < 2; ++round) {
    if (ptx::thread_x() == 0) {
      ptx::wait_barrier(empty, round ^ 1);
      ptx::arrive_expecting(full, kBug == ShareBug::kHalfExpected ? kBoxBytes : 2 * kBoxBytes);
      const uint32_t box = (round + rank) % 2;
      ptx::copy_box_to_all(stage + rank * kBoxBytes, &p.rows, full, 0b11, 0,
                           static_cast<int32_t>(16 * box), 0, 0);
    }
    ptx::wait_barrier(full, round);
    sum +=
        static_cast<float>(round + 1) * (word_of_box(stage) + 3 * word_of_box(stage + kBoxBytes));
    ptx::fence_shared();
    if (kAlone || kBug == ShareBug::kOwnBlockTold) {
      ptx::arrive(empty);
    } else {
      for (uint32_t block = 0; block < 2; ++block) ptx::arrive_at(empty, block);
    }
  }
  ptx::store_global(p.out + thread_of_cluster(), ptx::as_bits(sum));
  if (kBug != ShareBug::kLeaves) meet();
}

// The other block may not even have started.
template <bool kBroken>
__global__ void shared_box_before_cluster_barrier(const Params p) {
  share_and_read<kBroken ? ShareBug::kBeforeMeeting : ShareBug::kNone>(p);
}

// A block expects what it has asked for itself.
template <bool kBroken>
__global__ void bytes_of_other_block_not_expected(const Params p) {
  share_and_read<kBroken ? ShareBug::kHalfExpected : ShareBug::kNone>(p);
}

// A block loads again when its own threads have read, whatever those of the other one do.
template <bool kBroken>
__global__ void shared_box_refilled_before_read(const Params p) {
  share_and_read<kBroken ? ShareBug::kOwnReadersOnly : ShareBug::kNone>(p);
}

template <bool kBroken>
__global__ void other_block_not_told(const Params p) {
  share_and_read<kBroken ? ShareBug::kOwnBlockTold : ShareBug::kNone>(p);
}

// A block leaves, with its barrier, before the other one has told it.
template <bool kBroken>
__global__ void exit_before_told(const Params p) {
  share_and_read<kBroken ? ShareBug::kLeaves : ShareBug::kNone>(p);
}

}  // namespace octconv::planted
