// The probes of what Hopper has: barriers that count, clusters, copies by tensor maps, products of
// warpgroups. Compiled for other targets they are empty.
#pragma once

#include "device/sm90/barrier.cuh"
#include "device/sm90/cluster.cuh"
#include "device/sm90/grid.cuh"
#include "device/sm90/products.cuh"
#include "device/sm90/store_matrix.cuh"
#include "device/sm90/tensor_copy.cuh"
#include "kernels/probes.cuh"

namespace octconv::probe {

// The first warp hands words to the other two through one buffer, and each lane arrives.
constexpr uint32_t kCountedRounds = 5, kCountingReaders = 2;
template <typename Word>
__global__ void count_arrivals(const ProbeParams p) {
  if constexpr (ptx::kHopper) {
    constexpr uint32_t kLanes = ptx::kWarpThreads;
    ptx::SharedMemory shared;
    const uint32_t words = shared.take(sizeof(Word) * kLanes);
    const uint32_t full = shared.take(2 * ptx::kBarrierBytes), empty = full + ptx::kBarrierBytes;
    const uint32_t lane = ptx::lane(), warp = ptx::thread_x() / kLanes;
    if (ptx::thread_x() == 0) {
      ptx::init_barrier(full, kLanes);
      ptx::init_barrier(empty, kCountingReaders * kLanes);
    }
    ptx::sync_block();
    for (uint32_t round = 0; round < kCountedRounds; ++round) {
      if (warp == 0) {
        ptx::wait_barrier(empty, round % 2 ^ 1);
        ptx::store_shared(words + sizeof(Word) * lane, input<Word>(p, round * kLanes + lane));
        ptx::arrive(full);
      } else {
        while (!ptx::try_wait(full, round % 2)) {
        }
        Word value;
        ptx::load_shared(value, words + sizeof(Word) * ((lane + warp) % kLanes));
        output(p, (round * kCountingReaders + warp - 1) * kLanes + lane, value);
        ptx::arrive(empty);
      }
    }
  }
}

// In each round a thread takes the word that the opposite thread of the cluster's next block has.
// Each block takes longer than the one before, so that the others have to wait for it.
constexpr uint32_t kRoundThreads = 64, kRoundDelay = 64;
template <typename Word, uint32_t kBlocks>
__global__ void pass_round(const ProbeParams p) {
  if constexpr (ptx::kHopper) {
    ptx::SharedMemory shared;
    const uint32_t words = shared.take(sizeof(Word) * kRoundThreads), rank = ptx::cluster_rank();
    const uint32_t opposite = kRoundThreads - 1 - ptx::thread_x();
    uint32_t mine = ptx::thread_x();
    Word word = input<Word>(p, thread_of_grid());
    for (uint32_t round = 0; round < kBlocks; ++round) {
      for (uint32_t i = 0; i < kRoundDelay * rank; ++i) {
        mine = ptx::shuffle_xor(ptx::shuffle_xor(mine, 1), 1);
      }
      ptx::store_shared(words + sizeof(Word) * mine, word);
      ptx::arrive_cluster();
      ptx::wait_cluster();
      ptx::load_cluster(word, words + sizeof(Word) * opposite, (rank + 1) % kBlocks);
      output(p, round * ptx::blocks_x() * kRoundThreads + thread_of_grid(), word);
      ptx::arrive_cluster();
      ptx::wait_cluster();
    }
  }
}

// The launch before it may still write what it reads.
constexpr uint32_t kOverlappingThreads = 64;
template <typename Word>
__global__ void copy_behind_prerequisites(const ProbeParams p) {
  if constexpr (ptx::kHopper) {
    ptx::wait_for_prerequisites();
    ptx::launch_dependents();
    Word word;
    ptx::load_global(word, static_cast<const Word*>(p.in) + thread_of_grid());
    output(p, thread_of_grid(), word);
  }
}

__device__ __forceinline__ void begin_copies(uint32_t barrier, uint32_t bytes) {
  ptx::init_barrier(barrier, 1);
  ptx::fence_barriers();
  ptx::arrive_expecting(barrier, bytes);
}

// Boxes that go beyond their tensor on several sides, to rows where no group of the swizzle begins.
constexpr uint32_t kShift = 3 * 128;
constexpr uint32_t kBox3Rows = 16, kBox4Rows = 4 * 3 * 2, kBox5Rows = 2 * 4 * 4;
template <uint32_t kRank>
__global__ void copy_box(const __grid_constant__ ProbeParams p) {
  if constexpr (ptx::kHopper) {
    constexpr uint32_t kRows = kRank == 3 ? kBox3Rows : kRank == 4 ? kBox4Rows : kBox5Rows;
    ptx::SharedMemory shared;
    const uint32_t box = shared.take(kShift + 128 * kRows) + kShift;
    const uint32_t full = shared.take(16), thread = ptx::thread_x();
    if (thread == 0) {
      ptx::prefetch_map(&p.maps[0]);
      begin_copies(full, 128 * kRows);
      if constexpr (kRank == 3) ptx::copy_box(box, &p.maps[0], full, 8, 12, 2);
      if constexpr (kRank == 4) ptx::copy_box(box, &p.maps[0], full, -8, -1, 1, 1);
      if constexpr (kRank == 5) ptx::copy_box(box, &p.maps[0], full, 8, 0, 1, 0, 2);
    }
    ptx::sync_block();
    ptx::wait_barrier(full, 0);
    for (uint32_t i = thread; i < 8 * kRows; i += ptx::threads_x()) {
      const uint32_t address = box + 16 * i;
      ptx::Word128 value;
      ptx::load_shared(value, address ^ (address / 128 % 8 * 16));
      output(p, i, value);
    }
  }
}

// In each round the blocks of a cluster load a box each, for both of them, into one stage, and read
// both boxes.
constexpr uint32_t kSharedRounds = 3, kSharedRows = 8;
template <typename Word>
__global__ void share_boxes(const __grid_constant__ ProbeParams p) {
  if constexpr (ptx::kHopper) {
    constexpr uint32_t kBox = 128 * kSharedRows, kWords = 2 * kBox / sizeof(Word);
    ptx::SharedMemory shared;
    const uint32_t stage = shared.take(2 * kBox), full = shared.take(16), empty = full + 8;
    const uint32_t rank = ptx::cluster_rank(), thread = ptx::thread_x();
    if (thread == 0) {
      ptx::init_barrier(full, 1);
      ptx::init_barrier(empty, 2 * ptx::threads_x());
      ptx::fence_barriers();
    }
    ptx::sync_block();
    ptx::arrive_cluster();
    ptx::wait_cluster();
    for (uint32_t round = 0; round < kSharedRounds; ++round) {
      if (thread == 0) {
        ptx::wait_barrier(empty, round % 2 ^ 1);
        ptx::arrive_expecting(full, 2 * kBox);
        ptx::copy_box_to_all(stage + rank * kBox, &p.maps[0], full, 0b11, 0, kSharedRows * rank,
                             round, ptx::block_x() / 2);
      }
      ptx::wait_barrier(full, round % 2);
      for (uint32_t i = thread; i < kWords; i += ptx::threads_x()) {
        const uint32_t address = stage + sizeof(Word) * i;
        Word value;
        ptx::load_shared(value, address ^ (address / 128 % 8 * 16));
        output(p, (ptx::block_x() * kSharedRounds + round) * kWords + i, value);
      }
      ptx::fence_shared();
      for (uint32_t block = 0; block < 2; ++block) ptx::arrive_at(empty, block);
    }
    ptx::arrive_cluster();
    ptx::wait_cluster();
  }
}

// Fragments of four matrices, as words of each lane, to the 32 rows of the matrices.
template <typename Word>
__global__ void store_matrix(const ProbeParams p) {
  if constexpr (ptx::kHopper) {
    ptx::SharedMemory shared;
    const uint32_t lane = ptx::lane(), row = shared.take(512) + 16 * lane;
    Word fragment[4];
    for (uint32_t i = 0; i < 4; ++i) fragment[i] = input<Word>(p, 4 * lane + i);
    ptx::store_matrix(row, fragment);
    ptx::sync_warp();
    ptx::Word128 value;
    ptx::load_shared(value, row);
    output(p, lane, value);
  }
}

// A box that goes beyond its tensor on all sides but those of the images.
constexpr uint32_t kStoredRows = 7 * 4 * 2;
template <typename Word>
__global__ void store_box(const __grid_constant__ ProbeParams p) {
  if constexpr (ptx::kHopper) {
    ptx::SharedMemory shared;
    const uint32_t box = shared.take(128 * kStoredRows);
    for (uint32_t i = ptx::thread_x(); i < 8 * kStoredRows; i += ptx::threads_x()) {
      ptx::store_shared(box + (16 * i ^ i / 8 % 8 * 16), input<Word>(p, i));
    }
    ptx::fence_shared();
    ptx::sync_block();
    if (ptx::thread_x() > 0) return;
    ptx::store_box(&p.maps[0], box, -8, -1, -1, 0);
    ptx::commit_stores();
    ptx::wait_stores_read<0>();
  }
}

// 8 x 8 of 10 x 10 pixels, of 64 channels each, times kColumns rows of as many; or, transposed,
// times 64 rows of kColumns, which lie in parts of 64 or 128 bytes.
enum class Patch { kCopied, kStored, kThroughRegisters };
constexpr uint32_t kPixels = 100, kPixelBytes = 128, kFirstPixel = 11, kPatchDepth = 64;
constexpr uint32_t kPatchBytes = 13 * 1024;  // all pixels; a multiple of 1024
struct RowParts {
  uint32_t count, rows, row_bytes;
  constexpr RowParts(uint32_t columns, bool transposed)
      : count(1), rows(transposed ? kPatchDepth : columns), row_bytes(128) {
    if (!transposed) return;
    if (columns == 32 || columns == 96) row_bytes = 64;  // as kernels have them
    count = (2 * columns + row_bytes - 1) / row_bytes;
  }
  constexpr uint32_t bytes() const { return rows * row_bytes; }
};
template <typename T, int kColumns, bool kTransposed, Patch kPatch>
__global__ void multiply_patch(const __grid_constant__ ProbeParams p) {
  if constexpr (ptx::kHopper) {
    constexpr RowParts kParts(kColumns, kTransposed);
    constexpr uint32_t kRows = kParts.count * kParts.bytes();
    ptx::SharedMemory shared;
    const uint32_t pixels = shared.take(kPatchBytes), rows = shared.take(kRows);
    const uint32_t full = shared.take(16), thread = ptx::thread_x();
    if constexpr (kPatch == Patch::kStored) {
      constexpr uint32_t kWordsOfAll = (kPixels + kColumns) * kPixelBytes / 16;
      for (uint32_t i = thread; i < kWordsOfAll; i += ptx::threads_x()) {
        const uint32_t row = i / 8, place = (i % 8 ^ row % 8) * 16;
        const uint32_t to =
            row < kPixels ? pixels + row * kPixelBytes : rows + (row - kPixels) * kPixelBytes;
        // The rows begin a group of the swizzle of their own.
        const uint32_t of_row = (i % 8 ^ (row - kPixels) % 8) * 16;
        ptx::store_shared(to + (row < kPixels ? place : of_row), input<ptx::Word128>(p, i));
      }
      ptx::fence_shared();
    } else if (thread == 0) {
      begin_copies(full, kPixels * kPixelBytes + kRows);
      ptx::copy_box(pixels, &p.maps[0], full, 0, 0, 0, 0);
      for (uint32_t part = 0; part < kParts.count; ++part) {
        ptx::copy_box(rows + part * kParts.bytes(), &p.maps[1], full, part * kParts.row_bytes / 2,
                      0, 0, 0);
      }
    }
    ptx::sync_block();
    if constexpr (kPatch != Patch::kStored) ptx::wait_barrier(full, 0);

    float sum[kColumns / 2];
    for (float& each : sum) each = 1;
    const uint64_t a = ptx::matrix_at(pixels + kFirstPixel * kPixelBytes, 10);
    uint32_t fragments[4][4];
    if constexpr (kPatch == Patch::kThroughRegisters) {
      const uint32_t half = ptx::lane() / 16, row = thread / 32 * 16 + ptx::lane() % 16;
      const uint32_t pixel = kFirstPixel + row / 8 * 10 + row % 8;
#pragma unroll
      for (uint32_t step = 0; step < 4; ++step) {
        const uint32_t place = ((2 * step + half) ^ pixel % 8) * 16;
        ptx::load_matrix(fragments[step], pixels + pixel * kPixelBytes + place);
      }
    }
    uint64_t b = ptx::matrix_at(rows, 8);
    if constexpr (kTransposed) b = ptx::transposed_at<kParts.row_bytes>(rows, kParts.bytes());
    constexpr int kStep = kTransposed ? 16 * kParts.row_bytes / 16 : 2;  // 16ths of bytes
    ptx::fence_products();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const uint64_t of_step = ptx::forget_offsets(b) + kStep * step;
      if constexpr (kPatch == Patch::kThroughRegisters) {
        ptx::multiply_async<T, kColumns, kTransposed>(sum, fragments[step], of_step);
      } else {
        ptx::multiply_async<T, kColumns, kTransposed>(sum, a + 2 * step, of_step);
      }
      if (step % 2 == 1) ptx::commit_products();
    }
    ptx::wait_products<1>();
    ptx::wait_products<0>();
    for (uint32_t i = 0; i < kColumns / 2; ++i) {
      output(p, thread * (kColumns / 2) + i, ptx::as_bits(sum[i]));
    }
  }
}

}  // namespace octconv::probe
