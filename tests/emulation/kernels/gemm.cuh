// A matrix product with a cp.async pipeline and deterministic split-K: C = A * B^T, one rounding.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>
#include <type_traits>

#include "dtype.h"
#include "gemm_plan.h"

namespace octconv {

template <typename Element, int kStages_>
struct GemmTraits {
  using T = Element;
  using Pair = std::conditional_t<sizeof(T) == 2, uint32_t, uint64_t>;
  static constexpr int kStages = kStages_;
  static constexpr int kWarpsM = 2, kWarpsN = 2;
  static constexpr int kThreads = 32 * kWarpsM * kWarpsN;
  static constexpr int kBlock = kGemmBlock;        // rows of A and rows of B in a tile: 64
  static constexpr int kWarp = kBlock / kWarpsM;   // 32
  static constexpr int kChunkBytes = 128;          // of a row in a stage: four steps of mma
  static constexpr int kStepBytes = 32;            // of a row in a step: 16 elements, or 8 of tf32
  static constexpr int kPitch = kChunkBytes + 16;  // 8 neighbouring rows touch all 32 banks
  static constexpr int kStageBytes = 2 * kBlock * kPitch;
  static constexpr int kSharedBytes = kStages * kStageBytes + 16;  // + the ticket
  static constexpr int kChunk = kChunkBytes / sizeof(T);
};

// Copies the chunk of `bytes_left` bytes of 64 rows of a matrix, zeros outside it.
template <typename Traits>
__device__ __forceinline__ void load_rows(uint32_t to, const char* from, int64_t row_bytes,
                                          int32_t rows, int64_t bytes_left) {
  constexpr int kVectors = Traits::kChunkBytes / 16;  // of a row
  for (int i = ptx::thread_x(); i < Traits::kBlock * kVectors; i += Traits::kThreads) {
    const int row = i / kVectors, byte = i % kVectors * 16;
    const bool inside = row < rows && byte < bytes_left;
    ptx::copy_async(to + row * Traits::kPitch + byte, inside ? from + row * row_bytes + byte : from,
                    inside ? 16 : 0);
  }
}

template <typename T>
__device__ __forceinline__ void round_operand(uint32_t (&fragment)[4]) {
  if constexpr (std::is_same_v<T, TFloat32>) {
    for (int i = 0; i < 4; ++i) fragment[i] = ptx::round_tf32(fragment[i]);
  }
}

// One stage into the sums of a warp: 2 x 4 tiles of 16 x 8.
template <typename Traits>
__device__ __forceinline__ void multiply_stage(float (&sum)[2][4][4], uint32_t a_rows,
                                               uint32_t b_rows) {
  using T = typename Traits::T;
  const uint32_t lane = ptx::lane();
  const uint32_t a_lane = a_rows + lane % 16 * Traits::kPitch + lane / 16 * 16;
  const uint32_t b_lane = b_rows + (lane / 16 * 8 + lane % 8) * Traits::kPitch + lane / 8 % 2 * 16;
#pragma unroll
  for (int step = 0; step < Traits::kChunkBytes; step += Traits::kStepBytes) {
    uint32_t a[2][4], b[2][4];  // (m16 tile, registers), (pair of n8 tiles, registers)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      ptx::load_matrix(a[i], a_lane + i * 16 * Traits::kPitch + step);
      ptx::load_matrix(b[i], b_lane + i * 16 * Traits::kPitch + step);
      round_operand<T>(a[i]);
      round_operand<T>(b[i]);
    }
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const uint32_t b_tile[2] = {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]};
#pragma unroll
      for (int m = 0; m < 2; ++m) ptx::mma<T>(sum[m][n], a[m], b_tile);
    }
  }
}

// Adds the partial sums of all splits of a tile, in the order of the splits; only the block that
// comes last does, and is told so by the result.
template <typename Traits>
__device__ __forceinline__ bool add_splits(float (&sum)[2][4][4], const GemmParams& p,
                                           uint32_t tile, uint32_t split, uint32_t ticket) {
  // (tile, split, m, n, thread) of four sums each
  const auto at = [&](uint32_t of_split, int m, int n) {
    return p.partial_sums +
           (((int64_t{tile} * p.splits + of_split) * 8 + m * 4 + n) * Traits::kThreads +
            ptx::thread_x()) *
               4;
  };
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      ptx::Word128 word;
      for (int i = 0; i < 4; ++i) word.word[i] = ptx::as_bits(sum[m][n][i]);
      ptx::store_global(at(split, m, n), word);
    }
  }
  ptx::sync_block();  // the atomic releases what the thread has seen: the sums of all threads
  if (ptx::thread_x() == 0) ptx::store_shared(ticket, ptx::atomic_add(p.arrivals + tile, 1));
  ptx::sync_block();
  uint32_t arrived;
  ptx::load_shared(arrived, ticket);
  if (arrived + 1 != p.splits) return false;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      for (int i = 0; i < 4; ++i) sum[m][n][i] = 0;
      for (uint32_t s = 0; s < p.splits; ++s) {
        ptx::Word128 word;
        ptx::load_global(word, at(s, m, n));
        for (int i = 0; i < 4; ++i) sum[m][n][i] += ptx::as_float(word.word[i]);
      }
    }
  }
  return true;
}

template <typename Traits>
__global__ void __launch_bounds__(Traits::kThreads) gemm(const GemmParams p) {
  using T = typename Traits::T;
  const uint32_t tile = ptx::block_x() / p.splits, split = ptx::block_x() % p.splits;
  const uint32_t tiles_n = (p.n + Traits::kBlock - 1) / Traits::kBlock;
  const int32_t first_m = tile / tiles_n * Traits::kBlock,
                first_n = tile % tiles_n * Traits::kBlock;
  const int32_t chunks = (p.k + Traits::kChunk - 1) / Traits::kChunk;
  const int32_t begin = chunks * split / p.splits, end = chunks * (split + 1) / p.splits;
  const uint32_t warp = ptx::thread_x() / ptx::kWarpThreads;
  const uint32_t warp_m = warp / Traits::kWarpsN * Traits::kWarp;
  const uint32_t warp_n = warp % Traits::kWarpsN * Traits::kWarp;

  ptx::SharedMemory shared;
  const uint32_t stages = shared.take(Traits::kStages * Traits::kStageBytes);
  const uint32_t ticket = shared.take(16);
  const int64_t row_bytes = int64_t{p.k} * sizeof(T);
  const auto load_chunk = [&](int32_t chunk) {
    if (chunk < end) {
      const uint32_t stage = stages + chunk % Traits::kStages * Traits::kStageBytes;
      const int64_t byte = int64_t{chunk} * Traits::kChunkBytes;
      const auto* a = static_cast<const char*>(p.a) + first_m * row_bytes + byte;
      const auto* b = static_cast<const char*>(p.b) + first_n * row_bytes + byte;
      load_rows<Traits>(stage, a, row_bytes, p.m - first_m, row_bytes - byte);
      load_rows<Traits>(stage + Traits::kBlock * Traits::kPitch, b, row_bytes, p.n - first_n,
                        row_bytes - byte);
    }
    ptx::commit_copies();  // an empty group too, so that wait_copies counts alike to the end
  };

  float sum[2][4][4] = {};  // (m16 tile, n8 tile, registers)
  for (int32_t i = 0; i < Traits::kStages - 1; ++i) load_chunk(begin + i);
  for (int32_t chunk = begin; chunk < end; ++chunk) {
    ptx::wait_copies<Traits::kStages - 2>();
    ptx::sync_block();  // the chunk is there, and all have left the stage that is filled next
    load_chunk(chunk + Traits::kStages - 1);
    const uint32_t stage = stages + chunk % Traits::kStages * Traits::kStageBytes;
    multiply_stage<Traits>(sum, stage + warp_m * Traits::kPitch,
                           stage + (Traits::kBlock + warp_n) * Traits::kPitch);
  }
  if (p.splits > 1 && !add_splits<Traits>(sum, p, tile, split, ticket)) return;

  T* out = static_cast<T*>(p.c);
  for (int m = 0; m < 2; ++m) {
    for (int n = 0; n < 4; ++n) {
      for (int half = 0; half < 2; ++half) {
        const int32_t row = first_m + warp_m + m * 16 + half * 8 + ptx::lane() / 4;
        const int32_t column = first_n + warp_n + n * 8 + ptx::lane() % 4 * 2;
        T pair[2];
        ptx::narrow(pair[0], sum[m][n][2 * half]);
        ptx::narrow(pair[1], sum[m][n][2 * half + 1]);
        typename Traits::Pair word;
        memcpy(&word, pair, sizeof(pair));
        if (row < p.m && column < p.n) {
          ptx::store_global(out + int64_t{row} * p.n + column, word);
        }
      }
    }
  }
}

}  // namespace octconv
