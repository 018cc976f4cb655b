// Planted bugs: shared memory between the threads of a block.
#pragma once

#include "planted/params.cuh"

namespace octconv::planted {

// Two warps. The second loads the rows that the first stored.
template <bool kBroken>
__global__ void missing_block_barrier(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t rows = shared.take(128), lane = ptx::lane();
  uint32_t value[1];
  if (warp() == 0) {
    ptx::load_constant(value[0], p.in + lane);
    ptx::store_shared(rows + 4 * lane, value[0]);
  }
  if (!kBroken) ptx::sync_block();
  if (warp() == 1) {
    ptx::load_matrix(value, rows + 16 * (lane % 8));
    ptx::store_global(p.out + lane, value[0]);
  }
}

// Two warps. The first stores anew in each round; the second must have read the last round's.
template <bool kBroken>
__global__ void overwritten_before_read(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t buffer = shared.take(512), lane = ptx::lane();
  ptx::Word128 value;
  for (uint32_t round = 0; round < 4; ++round) {
    const uint32_t first = 4 * (round * 32 + lane);
    if (warp() == 0) {
      ptx::load_constant(value, p.in + first);
      ptx::store_shared(buffer + 16 * lane, value);
    }
    ptx::sync_block();
    if (warp() == 1) {
      ptx::load_shared(value, buffer + 16 * lane);
      ptx::store_global(p.out + first, value);
    }
    if (!kBroken) ptx::sync_block();
  }
}

// Each lane but the first reads what the lane before it stored.
template <bool kBroken>
__global__ void missing_warp_sync(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t buffer = shared.take(128), lane = ptx::lane();
  uint32_t value;
  ptx::load_constant(value, p.in + lane);
  ptx::store_shared(buffer + 4 * lane, value);
  if (!kBroken) ptx::sync_warp();
  ptx::load_shared(value, buffer + 4 * (lane == 0 ? 0 : lane - 1));
  ptx::store_global(p.out + lane, value);
}

// A shuffle lets lanes meet but orders no memory.
template <bool kBroken>
__global__ void shuffle_as_warp_sync(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t buffer = shared.take(128), lane = ptx::lane();
  uint32_t value;
  ptx::load_constant(value, p.in + lane);
  ptx::store_shared(buffer + 4 * lane, value);
  const uint32_t other = ptx::shuffle_xor(lane, 1);
  if (!kBroken) ptx::sync_warp();
  ptx::load_shared(value, buffer + 4 * other);
  ptx::store_global(p.out + lane, value);
}

// Two warps: the first fills a buffer and arrives, the second waits.
template <bool kBroken>
__global__ void arrives_before_store(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t buffer = shared.take(128), lane = ptx::lane();
  uint32_t value;
  if (warp() == 0) {
    ptx::load_constant(value, p.in + lane);
    if (kBroken) ptx::arrive_named(1, 64);
    ptx::store_shared(buffer + 4 * lane, value);
    if (!kBroken) ptx::arrive_named(1, 64);
  } else {
    ptx::sync_named(1, 64);
    ptx::load_shared(value, buffer + 4 * lane);
    ptx::store_global(p.out + lane, value);
  }
}

// The last lane reads one word too far.
template <bool kBroken>
__global__ void past_shared_buffer(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t buffer = shared.take(128), behind = shared.take(128), lane = ptx::lane();
  uint32_t value;
  ptx::load_constant(value, p.in + lane);
  ptx::store_shared(buffer + 4 * lane, value);
  ptx::store_shared(behind + 4 * lane, value);
  ptx::sync_warp();
  ptx::load_shared(value, buffer + 4 * (lane + kBroken));
  ptx::store_global(p.out + lane, value);
}

// Nobody stores the last word.
template <bool kBroken>
__global__ void shared_never_written(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t buffer = shared.take(128), lane = ptx::lane();
  uint32_t value;
  ptx::load_constant(value, p.in + lane);
  if (!kBroken || lane < 31) ptx::store_shared(buffer + 4 * lane, value);
  ptx::sync_warp();
  ptx::load_shared(value, buffer + 4 * lane);
  ptx::store_global(p.out + lane, value);
}

// 8 bytes at a multiple of 4.
template <bool kBroken>
__global__ void misaligned_shared_load(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t buffer = shared.take(128), lane = ptx::lane();
  uint32_t value;
  ptx::load_constant(value, p.in + lane);
  ptx::store_shared(buffer + 4 * lane, value);
  ptx::sync_warp();
  uint64_t pair;
  ptx::load_shared(pair, buffer + (kBroken && lane == 4 ? 4 * 3 : lane / 2 * 8));
  ptx::store_global(p.out + lane, static_cast<uint32_t>(pair >> lane % 2 * 32));
}

// The launch gives 4096 bytes.
template <bool kBroken>
__global__ void shared_beyond_launch(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t buffer = shared.take(kBroken ? 4096 + 16 : 4096), lane = ptx::lane();
  uint32_t value;
  ptx::load_constant(value, p.in + lane);
  ptx::store_shared(buffer + 4 * lane, value);
  ptx::load_shared(value, buffer + 4 * lane);
  ptx::store_global(p.out + lane, value);
}

// The lanes do not agree on where the second buffer begins.
template <bool kBroken>
__global__ void lanes_lay_out_differently(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t lane = ptx::lane();
  shared.take(kBroken && lane == 7 ? 256 : 128);
  const uint32_t buffer = shared.take(128);
  uint32_t value;
  ptx::load_constant(value, p.in + lane);
  ptx::store_shared(buffer + 4 * lane, value);
  ptx::load_shared(value, buffer + 4 * lane);
  ptx::store_global(p.out + lane, value);
}

}  // namespace octconv::planted
