// The probes of what threads do together: meet, exchange, multiply matrices, count.
#pragma once

#include "kernels/probes.cuh"

namespace octconv::probe {

// Threads store a word each, meet, and load that of the opposite one among `count` of them. Each
// warp takes longer than the one before, so that the others have to wait for it.
constexpr uint32_t kDelay = 32;  // a few thousand cycles
template <typename Meet>
__device__ __forceinline__ void exchange(const ProbeParams& p, uint32_t count, Meet meet) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(4 * ptx::threads_x()), thread = ptx::thread_x();
  uint32_t word = input<uint32_t>(p, thread);
  for (uint32_t i = 0; i < kDelay * (thread / ptx::kWarpThreads); ++i) {
    word = ptx::shuffle_xor(ptx::shuffle_xor(word, 1), 1);
  }
  ptx::store_shared(words + 4 * thread, word);
  meet();
  const uint32_t first = thread / count * count;
  uint32_t value;
  ptx::load_shared(value, words + 4 * (first + count - 1 - (thread - first)));
  output(p, thread, value);
}

constexpr uint32_t kMeeting = 128;  // threads
__global__ void sync_block(const ProbeParams p) {
  exchange(p, kMeeting, [] { ptx::sync_block(); });
}
__global__ void sync_warp(const ProbeParams p) {
  exchange(p, ptx::kWarpThreads, [] { ptx::sync_warp(); });
}
// The halves of the block meet at barriers of their own, the first and the last.
__global__ void sync_named(const ProbeParams p) {
  const uint32_t barrier = ptx::thread_x() < kMeeting / 2 ? 1 : 15;
  exchange(p, kMeeting / 2, [&] { ptx::sync_named(barrier, kMeeting / 2); });
}

// The first warp hands words to the other two through one buffer: who has filled or emptied it only
// arrives, who needs it waits.
constexpr uint32_t kRounds = 5, kReaders = 2;
__global__ void arrive_named(const ProbeParams p) {
  constexpr uint32_t kFull = 3, kEmpty = 4, kThreads = (1 + kReaders) * ptx::kWarpThreads;
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(4 * ptx::kWarpThreads);
  const uint32_t lane = ptx::lane(), warp = ptx::thread_x() / ptx::kWarpThreads;
  for (uint32_t round = 0; round < kRounds; ++round) {
    if (warp == 0) {
      if (round > 0) ptx::sync_named(kEmpty, kThreads);
      ptx::store_shared(words + 4 * lane, input<uint32_t>(p, round * ptx::kWarpThreads + lane));
      ptx::arrive_named(kFull, kThreads);
    } else {
      ptx::sync_named(kFull, kThreads);
      uint32_t value;
      ptx::load_shared(value, words + 4 * ((lane + warp) % ptx::kWarpThreads));
      output(p, (round * kReaders + warp - 1) * ptx::kWarpThreads + lane, value);
      if (round + 1 < kRounds) ptx::arrive_named(kEmpty, kThreads);
    }
  }
}

// A third of the threads gives registers that the others take, as far as there is such a thing; all
// keep their values.
constexpr uint32_t kPassing = 384;
__launch_bounds__(kPassing, 1) __global__ void pass_registers(const ProbeParams p) {
  const uint32_t thread = ptx::thread_x(), value = input<uint32_t>(p, thread);
  if constexpr (ptx::kHopper) {
    if (thread < kPassing / 3 * 2) {
      ptx::take_registers<192>();
    } else {
      ptx::give_registers<120>();
    }
  }
  output(p, thread, value);
}

// Of each thread: its value, and the lane and the mask that it asks for.
__global__ void shuffles(const ProbeParams p) {
  const uint32_t thread = ptx::thread_x(), value = input<uint32_t>(p, 3 * thread);
  output(p, 2 * thread, ptx::shuffle(value, input<uint32_t>(p, 3 * thread + 1)));
  output(p, 2 * thread + 1, ptx::shuffle_xor(value, input<uint32_t>(p, 3 * thread + 2)));
}

// 32 rows of 16 bytes, then the number of each lane's row.
template <uint32_t kMatrices, bool kTransposed>
__global__ void load_matrix(const ProbeParams p) {
  ptx::SharedMemory shared;
  const uint32_t rows = shared.take(16 * ptx::kWarpThreads), lane = ptx::lane();
  ptx::store_shared(rows + 16 * lane, input<ptx::Word128>(p, lane));
  ptx::sync_warp();
  const uint32_t row = rows + 16 * input<uint32_t>(p, 4 * ptx::kWarpThreads + lane);
  uint32_t fragment[kMatrices];
  if constexpr (kTransposed) {
    ptx::load_matrix_transposed(fragment, row);
  } else {
    ptx::load_matrix(fragment, row);
  }
  for (uint32_t i = 0; i < kMatrices; ++i) output(p, lane * kMatrices + i, fragment[i]);
}

// Of each lane: the registers of a, of b and of the sums.
constexpr uint32_t kProducts = 8, kProductWords = 4 + 2 + 4;
template <typename T>
__global__ void mma(const ProbeParams p) {
  const uint32_t thread = thread_of_grid(), first = thread * kProductWords;
  uint32_t a[4], b[2];
  float sum[4];
  for (uint32_t i = 0; i < 4; ++i) a[i] = input<uint32_t>(p, first + i);
  for (uint32_t i = 0; i < 2; ++i) b[i] = input<uint32_t>(p, first + 4 + i);
  for (uint32_t i = 0; i < 4; ++i) sum[i] = ptx::as_float(input<uint32_t>(p, first + 6 + i));
  ptx::mma<T>(sum, a, b);
  for (uint32_t i = 0; i < 4; ++i) output(p, 4 * thread + i, ptx::as_bits(sum[i]));
}

// Two additions to a counter of the thread's own, and what they leave.
constexpr uint32_t kAdders = 32;
__global__ void atomic_adds(const ProbeParams p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t* counter = p.counters + 2 * thread;
  const uint32_t first = input<uint32_t>(p, 2 * thread),
                 second = input<uint32_t>(p, 2 * thread + 1);
  const uint32_t old[6] = {ptx::atomic_add(counter, first),
                           ptx::atomic_add(counter, second),
                           ptx::atomic_add(counter, 0),
                           ptx::atomic_add_relaxed(counter + 1, first),
                           ptx::atomic_add_relaxed(counter + 1, second),
                           ptx::atomic_add_relaxed(counter + 1, 0)};
  for (uint32_t i = 0; i < 6; ++i) output(p, 6 * thread + i, old[i]);
}

// All threads draw from two counters; every number must be drawn once.
constexpr uint32_t kTickets = 256;
__global__ void tickets(const ProbeParams p) {
  const uint32_t ticket = ptx::atomic_add(p.counters, 1);
  output(p, ticket, ticket);
  const uint32_t relaxed = ptx::atomic_add_relaxed(p.counters + 1, 1);
  output(p, kTickets + relaxed, relaxed);
}

// Each block writes its words; the last to be done adds up what all have written.
constexpr uint32_t kSumBlocks = 4, kSumThreads = 64;
template <bool kFences>
__global__ void last_block(const ProbeParams p) {
  ptx::SharedMemory shared;
  const uint32_t ticket = shared.take(16), thread = ptx::thread_x();
  output(p, thread_of_grid(), input<uint32_t>(p, thread_of_grid()));
  ptx::sync_block();
  if (thread == 0) {
    if constexpr (kFences) {
      ptx::fence_device();
      ptx::store_shared(ticket, ptx::atomic_add_relaxed(p.counters, 1));
      ptx::fence_device();
    } else {
      ptx::store_shared(ticket, ptx::atomic_add(p.counters, 1));
    }
  }
  ptx::sync_block();
  uint32_t before;
  ptx::load_shared(before, ticket);
  if (before + 1 != kSumBlocks) return;
  uint32_t sum = 0;
  for (uint32_t block = 0; block < kSumBlocks; ++block) {
    uint32_t value;
    ptx::load_global(value, static_cast<const uint32_t*>(p.out) + block * kSumThreads + thread);
    sum += value;
  }
  output(p, kSumBlocks * kSumThreads + thread, sum);
}

}  // namespace octconv::probe
