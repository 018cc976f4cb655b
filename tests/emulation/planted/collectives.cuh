// Planted bugs: instructions of whole warps, and barriers.
#pragma once

#include "planted/params.cuh"

namespace octconv::planted {

// Half of the lanes shuffle in one branch, half in the other.
template <bool kBroken>
__global__ void divergent_shuffle(const Params p) {
  const uint32_t lane = ptx::lane();
  uint32_t value;
  ptx::load_constant(value, p.in + lane);
  if (kBroken && lane < 16) {
    value = ptx::shuffle(value, 31 - lane);
  } else {
    value = ptx::shuffle(value, 31 - lane);
  }
  ptx::store_global(p.out + lane, value);
}

// 8 rows of 4 words in shared memory; the sum is their order turned round.
template <bool kBroken>
__global__ void divergent_load_matrix(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t rows = shared.take(128), lane = ptx::lane();
  uint32_t value[1];
  ptx::load_constant(value[0], p.in + lane);
  ptx::store_shared(rows + 4 * lane, value[0]);
  ptx::sync_warp();
  if (kBroken && lane >= 8) {
    ptx::load_matrix(value, rows);
  } else {
    ptx::load_matrix(value, rows + 16 * (7 - lane % 8));
  }
  ptx::store_global(p.out + lane, value[0]);
}

// Only lanes 0 to 7 hold addresses of rows, but all must take part.
template <bool kBroken>
__global__ void load_matrix_by_few_lanes(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t rows = shared.take(128), lane = ptx::lane();
  uint32_t value[1];
  ptx::load_constant(value[0], p.in + lane);
  ptx::store_shared(rows + 4 * lane, value[0]);
  ptx::sync_warp();
  if (!kBroken || lane < 8) ptx::load_matrix(value, rows + 16 * (7 - lane % 8));
  ptx::store_global(p.out + lane, value[0]);
}

// Rows of 20 bytes: no bank conflicts, but three of four are misaligned.
template <bool kBroken>
__global__ void misaligned_load_matrix(const Params p) {
  constexpr uint32_t kPitch = kBroken ? 20 : 16;
  ptx::SharedMemory shared;
  const uint32_t rows = shared.take(160), lane = ptx::lane();
  uint32_t value[1];
  ptx::load_constant(value[0], p.in + lane);
  ptx::store_shared(rows + lane / 4 * kPitch + lane % 4 * 4, value[0]);
  ptx::sync_warp();
  ptx::load_matrix(value, rows + kPitch * (7 - lane % 8));
  ptx::store_global(p.out + lane, value[0]);
}

// A of ones times B whose column n holds n + 1.
template <bool kBroken>
__global__ void divergent_mma(const Params p) {
  const uint32_t lane = ptx::lane(), one = ptx::as_bits(1);
  const uint32_t a[4] = {one, one, one, one};
  uint32_t b[2];
  ptx::load_constant(b[0], p.in + lane / 4);
  b[1] = b[0];
  float sum[4] = {};
  if (kBroken && lane < 16) {
    ptx::mma<TFloat32>(sum, a, b);
  } else {
    ptx::mma<TFloat32>(sum, a, b);
  }
  ptx::store_global(p.out + lane, ptx::as_bits(sum[0]));
}

// The same with a fraction that tf32 has no bits for.
template <bool kBroken>
__global__ void tf32_not_rounded(const Params p) {
  const uint32_t lane = ptx::lane(), one = ptx::as_bits(1);
  const uint32_t a[4] = {one, one, one, one};
  uint32_t word;
  ptx::load_constant(word, p.in + lane / 4);
  word = ptx::as_bits(ptx::as_float(word) + 0x1p-12f);
  if (!kBroken) word = ptx::round_tf32(word);
  const uint32_t b[2] = {word, word};
  float sum[4] = {};
  ptx::mma<TFloat32>(sum, a, b);
  ptx::store_global(p.out + lane, ptx::as_bits(sum[0]));
}

// The lanes of one warp come to the block's barrier at two places.
template <bool kBroken>
__global__ void divergent_block_barrier(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  if (kBroken && thread == 40) {
    ptx::sync_block();
  } else {
    ptx::sync_block();
  }
  ptx::store_global(p.out + thread, value);
}

// One lane comes for its warp.
template <bool kBroken>
__global__ void lane_arrives_for_warp(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t buffer = shared.take(128), lane = ptx::lane();
  uint32_t value;
  if (warp() == 0) {
    ptx::load_constant(value, p.in + lane);
    ptx::store_shared(buffer + 4 * lane, value);
    if (!kBroken || lane == 0) ptx::arrive_named(1, 64);
  } else {
    ptx::sync_named(1, 64);
    ptx::load_shared(value, buffer + 4 * lane);
    ptx::store_global(p.out + lane, value);
  }
}

// The second warp leaves before a barrier at which the first one waits for it.
template <bool kBroken>
__global__ void exit_before_block_barrier(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  ptx::store_global(p.out + thread, value);
  if (kBroken && warp() == 1) return;
  ptx::sync_block();
}

// A lane whose work is outside the tile leaves, and the others shuffle.
template <bool kBroken>
__global__ void exit_before_shuffle(const Params p) {
  const uint32_t lane = ptx::lane();
  uint32_t value;
  ptx::load_constant(value, p.in + lane);
  if (kBroken && lane == 31) return;
  value = ptx::shuffle_xor(value, 1);
  ptx::store_global(p.out + lane, value);
}

// Barrier 1 is for two warps, of which one waits at barrier 2.
template <bool kBroken>
__global__ void deadlock(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  ptx::sync_named(kBroken ? 1 + warp() : 1, 64);
  ptx::store_global(p.out + thread, value);
}

template <bool kBroken>
__global__ void barrier_counts_disagree(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  ptx::sync_named(1, kBroken && warp() == 1 ? 96 : 64);
  ptx::store_global(p.out + thread, value);
}

// A block has barriers 0 to 15, and 0 is that of sync_block.
template <bool kBroken>
__global__ void no_such_barrier(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  ptx::sync_named(kBroken ? 16 : 15, 64);
  ptx::store_global(p.out + thread, value);
}

template <bool kBroken>
__global__ void barrier_for_half_a_warp(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  ptx::sync_named(1, kBroken ? 48 : 64);
  ptx::store_global(p.out + thread, value);
}

}  // namespace octconv::planted
