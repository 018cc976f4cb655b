// Tiles whose chunks of channels the blocks of a cluster share: each block adds up some of the sums
// of all of them, in a fixed order, out of their shared memory.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/barrier.cuh"
#include "device/sm90/cluster.cuh"
#include "params/forward_sm90.h"

namespace octconv::sm90 {

constexpr int kMultiplierWarps = 8;
constexpr uint32_t kMultiplierThreads = 32 * kMultiplierWarps;

// Where all threads that multiply meet behind their products; 1 and 2 are named barriers of others.
constexpr uint32_t kMultiplied = 3;

// A cluster's place among all, by how many blocks each has.
__device__ __forceinline__ int32_t cluster_index(int32_t cluster_blocks) {
  return static_cast<int32_t>(ptx::block_x()) / cluster_blocks;
}
__device__ __forceinline__ int32_t cluster_count(int32_t cluster_blocks) {
  return static_cast<int32_t>(ptx::blocks_x()) / cluster_blocks;
}

// By all warps of the cluster that have not ended.
__device__ __forceinline__ void meet_cluster() {
  ptx::sync_warp();
  ptx::arrive_cluster();
  ptx::wait_cluster();
}

// The chunks that this block multiplies.
__device__ __forceinline__ const ChunkRange& own_chunks(const SplitChunks& chunks) {
  return chunks[ptx::cluster_rank()];
}

// A bit for each unit of a tile's sums that this block stores, from those of the cluster's first.
// Asked for where it is needed: kept for long, it costs products their registers (ptxas C7511).
__device__ __forceinline__ uint32_t own_units(uint32_t first) {
  const uint32_t rank = ptx::cluster_rank();
  return first << rank | first >> (32 - rank) % 32;  // in a circle: all stay all
}
__device__ __forceinline__ bool has_unit(uint32_t units, int unit) {
  return (units & 1u << unit) != 0;
}

// The sums of the units that this block stores become those of all splits. A unit is kUnit sums of
// each thread, `thread` counts those that multiply. A cluster has but one tile: when all that was
// loaded for it is multiplied, shared memory is free from `memory` on. There a loop adds them up;
// in registers it would have to be unrolled.
template <int kUnit, int kGroups, int kSums>
__device__ __forceinline__ void add_splits(float (&sum)[kGroups][kSums], int32_t splits,
                                           uint32_t units, uint32_t memory, uint32_t thread) {
  constexpr int kWords = kUnit / 4, kAtOnce = 4;
  static_assert(kSums % kUnit == 0 && kWords % kAtOnce == 0);
  const auto at = [&](int32_t word) { return memory + (word * kMultiplierThreads + thread) * 16; };
  ptx::sync_named(kMultiplied, kMultiplierThreads);
#pragma unroll
  for (int i = 0; i < kGroups * kSums; i += 4) {
    ptx::Word128 word;
    for (int j = 0; j < 4; ++j) word.word[j] = ptx::as_bits(sum[i / kSums][i % kSums + j]);
    ptx::store_shared(at(i / 4), word);
  }
  meet_cluster();
#pragma unroll 1
  for (int32_t first = 0; first < kGroups * kSums / 4; first += kAtOnce) {
    if (!has_unit(units, first / kWords)) continue;
    ptx::Word128 word[2 * kAtOnce];
    float all[4 * kAtOnce] = {};
#pragma unroll 1
    for (int32_t of = 0; of < splits; of += 2) {  // they are 2, 4 or 8
#pragma unroll
      for (int i = 0; i < 2 * kAtOnce; ++i) {
        ptx::load_cluster(word[i], at(first + i % kAtOnce), of + i / kAtOnce);
      }
#pragma unroll
      for (int i = 0; i < 8 * kAtOnce; ++i) {
        all[i % (4 * kAtOnce)] += ptx::as_float(word[i / 4].word[i % 4]);
      }
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      for (int j = 0; j < 4; ++j) word[i].word[j] = ptx::as_bits(all[4 * i + j]);
      ptx::store_shared(at(first + i), word[i]);  // which no other block reads
    }
  }
#pragma unroll
  for (int i = 0; i < kGroups * kSums; i += 4) {
    if (!has_unit(units, i / kUnit)) continue;
    ptx::Word128 word;
    ptx::load_shared(word, at(i / 4));
    for (int j = 0; j < 4; ++j) sum[i / kSums][i % kSums + j] = ptx::as_float(word.word[j]);
  }
  ptx::fence_shared();  // of copies that come to the same place later
  meet_cluster();       // a block's shared memory stays until all have read it
}

// By a warp that has asked for all of a tile, while others multiply and call add_splits: then what
// it loads may come where they added, and where other blocks read, whose fences are of their own
// shared memory alone.
__device__ __forceinline__ void wait_for_added_splits() {
  meet_cluster();
  meet_cluster();
  ptx::fence_shared();
}

}  // namespace octconv::sm90
