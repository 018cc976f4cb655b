// Planted bugs: barriers that count, and copies by tensor maps.
#pragma once

#include "device/sm90/barrier.cuh"
#include "device/sm90/tensor_copy.cuh"
#include "planted/params.cuh"

namespace octconv::planted {

enum class CopyBug {
  kNone,
  kWrongParity,
  kFewBytes,
  kManyBytes,
  kNoBarrierFence,
  kNoProxyFence,
  kLoadsUnfenced,
  kTooManyArrivals,
  kBlockBarrierForWait,
  kShortStage,
  kMisaligned,
  kWrongRank,
  kLeftUnderWay,
  kLateInit,
};

constexpr uint32_t kBoxBytes = 2048;  // 16 rows of 32 floats

// Word 0 of each 32 bytes of a box, by 64 threads.
__device__ __forceinline__ float word_of_box(uint32_t stage) {
  const uint32_t byte = 32 * ptx::thread_x();
  uint32_t word;
  ptx::load_shared(word, stage + (byte ^ (byte / 128 % 8 * 16)));
  return ptx::as_float(word);
}

// Two warps store zeros and load them, and read what a copy puts in their place.
template <CopyBug kBug>
__device__ __forceinline__ void copy_and_read(const Params& p) {
  ptx::SharedMemory shared;
  const uint32_t stage = shared.take(kBug == CopyBug::kShortStage ? 1024 : kBoxBytes);
  const uint32_t full = shared.take(16), thread = ptx::thread_x();
  if (thread == 0 && kBug != CopyBug::kLateInit) ptx::init_barrier(full, 1);
  if (thread == 0 && kBug != CopyBug::kNoBarrierFence) ptx::fence_barriers();
  ptx::Word128 zeros{};
  ptx::store_shared(stage + 16 * thread, zeros);
  ptx::load_shared(zeros, stage + 16 * thread);
  if (kBug != CopyBug::kNoProxyFence) ptx::fence_shared();
  if (kBug == CopyBug::kLoadsUnfenced) ptx::load_shared(zeros, stage + 16 * thread);
  ptx::sync_block();
  if (thread == 0 && kBug == CopyBug::kLateInit) {
    ptx::init_barrier(full, 1);
    ptx::fence_barriers();
  }
  if (thread == 0) {
    const uint32_t bytes = kBug == CopyBug::kFewBytes    ? kBoxBytes / 2
                           : kBug == CopyBug::kManyBytes ? kBoxBytes * 2
                                                         : kBoxBytes;
    ptx::arrive_expecting(full, bytes);
    if (kBug == CopyBug::kTooManyArrivals) ptx::arrive(full);
    if (kBug == CopyBug::kWrongRank) {
      ptx::copy_box(stage, &p.rows, full, 0, 0, 0, 0, 0);
    } else {
      ptx::copy_box(stage + (kBug == CopyBug::kMisaligned ? 16 : 0), &p.rows, full, 0, 0, 0, 0);
    }
  }
  if (kBug == CopyBug::kLeftUnderWay) {
    uint32_t word;
    ptx::load_constant(word, p.in + 8 * thread);
    return ptx::store_global(p.out + thread, word);
  }
  if (kBug == CopyBug::kBlockBarrierForWait) {
    ptx::sync_block();
  } else {
    ptx::wait_barrier(full, kBug == CopyBug::kWrongParity ? 1 : 0);
  }
  ptx::store_global(p.out + thread, ptx::as_bits(word_of_box(stage)));
}

template <bool kBroken>
__global__ void wrong_parity(const Params p) {
  copy_and_read<kBroken ? CopyBug::kWrongParity : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void too_few_bytes_expected(const Params p) {
  copy_and_read<kBroken ? CopyBug::kFewBytes : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void too_many_bytes_expected(const Params p) {
  copy_and_read<kBroken ? CopyBug::kManyBytes : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void missing_barrier_fence(const Params p) {
  copy_and_read<kBroken ? CopyBug::kNoBarrierFence : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void copy_over_unfenced_store(const Params p) {
  copy_and_read<kBroken ? CopyBug::kNoProxyFence : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void copy_over_unfenced_load(const Params p) {
  copy_and_read<kBroken ? CopyBug::kLoadsUnfenced : CopyBug::kNone>(p);
}

// The phase lacks bytes and no more arrivals.
template <bool kBroken>
__global__ void arrival_beyond_the_count(const Params p) {
  copy_and_read<kBroken ? CopyBug::kTooManyArrivals : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void box_behind_block_barrier(const Params p) {
  copy_and_read<kBroken ? CopyBug::kBlockBarrierForWait : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void box_past_stage(const Params p) {
  copy_and_read<kBroken ? CopyBug::kShortStage : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void misaligned_box(const Params p) {
  copy_and_read<kBroken ? CopyBug::kMisaligned : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void box_of_another_rank(const Params p) {
  copy_and_read<kBroken ? CopyBug::kWrongRank : CopyBug::kNone>(p);
}

template <bool kBroken>
__global__ void box_left_under_way(const Params p) {
  copy_and_read<kBroken ? CopyBug::kLeftUnderWay : CopyBug::kNone>(p);
}

// Other threads may wait before the barrier is there.
template <bool kBroken>
__global__ void barrier_initialised_late(const Params p) {
  copy_and_read<kBroken ? CopyBug::kLateInit : CopyBug::kNone>(p);
}

// The first warp stores words, and each lane arrives; the second waits for all. Two lanes arrive
// twice.
template <bool kBroken>
__global__ void two_arrivals_too_many(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(128), full = shared.take(16), lane = ptx::lane();
  if (ptx::thread_x() == 0) ptx::init_barrier(full, 32);
  ptx::sync_block();
  uint32_t value;
  if (warp() == 0) {
    ptx::load_constant(value, p.in + lane);
    ptx::store_shared(words + 4 * lane, value);
    ptx::arrive(full);
    if (kBroken && lane < 2) ptx::arrive(full);
  } else {
    while (!ptx::try_wait(full, 0)) {
    }
    ptx::load_shared(value, words + 4 * lane);
    ptx::store_global(p.out + lane, value);
  }
}

// Nobody waits for the second of two barriers, where a thread then arrives for the next phase.
template <bool kBroken>
__global__ void phase_without_wait(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t barriers = shared.take(16);
  if (ptx::thread_x() < 2) ptx::init_barrier(barriers + 8 * ptx::thread_x(), 1);
  ptx::sync_block();
  for (uint32_t round = 0; round < 2; ++round) {
    for (uint32_t half = 0; half < 2; ++half) {
      if (ptx::thread_x() == 0) ptx::arrive(barriers + 8 * half);
    }
    for (uint32_t half = 0; half < 2 - kBroken; ++half) {
      ptx::wait_barrier(barriers + 8 * half, round);
    }
    ptx::sync_block();
  }
  uint32_t value;
  ptx::load_constant(value, p.in + ptx::thread_x());
  ptx::store_global(p.out + ptx::thread_x(), value);
}

// Two boxes take turns in one stage. The second may not be copied before all have read the first.
template <bool kBroken>
__global__ void box_refilled_before_read(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t stage = shared.take(kBoxBytes), full = shared.take(16), empty = full + 8;
  if (ptx::thread_x() == 0) {
    ptx::init_barrier(full, 1);
    ptx::init_barrier(empty, 64);
    ptx::fence_barriers();
  }
  ptx::sync_block();
  float sum = 0;
  for (uint32_t round = 0; round < 2; ++round) {
    if (ptx::thread_x() == 0) {
      if (!kBroken) ptx::wait_barrier(empty, round ^ 1);
      ptx::arrive_expecting(full, kBoxBytes);
      ptx::copy_box(stage, &p.rows, full, 0, 16 * static_cast<int32_t>(round), 0, 0);
      if (kBroken) ptx::wait_barrier(empty, round ^ 1);
    }
    ptx::wait_barrier(full, round);
    sum += word_of_box(stage);
    ptx::fence_shared();
    ptx::arrive(empty);
  }
  ptx::store_global(p.out + ptx::thread_x(), ptx::as_bits(sum));
}

}  // namespace octconv::planted
