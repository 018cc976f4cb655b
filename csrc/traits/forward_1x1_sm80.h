// The tiles of forward_1x1_sm80: joint ones, each of which gives the high and the low results of
// its quads, so that each pixel of the input is read once. A stage of a block's shared memory holds
// one chunk:
//   cells   of the high input (phases, quads, kChunk), or of the low one (quads, kChunk)
//   weight  of both parts' columns (columns, kChunk), transposed (kChunk, columns)
// and each warp, in registers:
//   sums    high (phases of 16 quads, n8 tiles, 4) and low (n8 tiles, 4)
// Plain C++: the host plans with what the kernel is made of.
#pragma once

#include <cstdint>

#include "traits/forward_sm80.h"

namespace octconv {

struct Joint64Tiles {  // 128 quads x (64 high + 64 low columns)
  static constexpr const char* kName = "joint64";
  static constexpr int kPartColumns = 64;
};
struct Joint32Tiles {  // 128 quads x (32 + 32)
  static constexpr const char* kName = "joint32";
  static constexpr int kPartColumns = 32;
};

template <typename Element, bool kTransposedWeight, typename JointTiles>
struct Forward1x1Traits {
  using T = Element;
  using Tiles = JointTiles;
  static constexpr bool kTransposed = kTransposedWeight;  // of the input gradient

  static constexpr int kWarps = 8, kThreads = 32 * kWarps;
  static constexpr int kQuads = 16 * kWarps;  // of a tile, at most
  static constexpr int kPartColumns = Tiles::kPartColumns;
  static constexpr int kColumns = 2 * kPartColumns;  // of both parts
  static constexpr int kTilesN = kPartColumns / 8;   // n8 tiles of each part
  static constexpr int kChunkBytes = 64;
  static constexpr int kChunk = kChunkBytes / sizeof(T);
  static constexpr int kStepBytes = 32;                // of a cell, in a step of mma
  static constexpr int kVectors = kChunkBytes / 16;    // of a cell
  static constexpr int kCellPitch = kChunkBytes + 16;  // 8 neighbouring cells touch all 32 banks

  // Of n8 tiles side by side, each gives a lane two sums to a row: 16 bytes of results together.
  static constexpr int kGroup = 16 / (2 * sizeof(T));
  static constexpr int kGroupColumns = 8 * kGroup;
  static constexpr bool kPermutes = !kTransposed;  // the columns of a group, as lane_column says

  static constexpr int kWeightPitch = weight_pitch(kTransposed, sizeof(T), kColumns, kCellPitch);
  static constexpr int kCellsBytes = 4 * kQuads * kCellPitch;
  static constexpr int kWeightBytes = (kTransposed ? kChunk : kColumns) * kWeightPitch;
  static constexpr int kWeightCopies = kColumns * kVectors / kThreads;  // of a thread
  static constexpr int kStageBytes = kCellsBytes + kWeightBytes;
};

// The stages of a block are as many as its shared memory holds, within these bounds.
constexpr int32_t kLeastStages = 2, kMostStages = 4;

// The same as numbers, for plans and parameters.
struct Forward1x1Limits {
  const char* name;
  int32_t threads, stage_bytes;
  int32_t quads, part_columns;  // of a tile
  bool transposed;
  ForwardLimits of_chunks;  // only of elements and chunks
};

template <typename Traits>
constexpr Forward1x1Limits limits_1x1() {
  ForwardLimits of_chunks{};
  of_chunks.element_bytes = sizeof(typename Traits::T);
  of_chunks.chunk_bytes = Traits::kChunkBytes;
  of_chunks.cell_pitch = Traits::kCellPitch;
  of_chunks.high.columns = of_chunks.low.columns = Traits::kPartColumns;
  return {Traits::Tiles::kName,
          Traits::kThreads,
          Traits::kStageBytes,
          Traits::kQuads,
          Traits::kPartColumns,
          Traits::kTransposed,
          of_chunks};
}

// As for_each_forward (forward_sm80.h).
template <typename T, bool kTransposed, typename Visit>
void for_each_forward_1x1(const Visit& visit) {
  visit(Forward1x1Traits<T, kTransposed, Joint64Tiles>());
  visit(Forward1x1Traits<T, kTransposed, Joint32Tiles>());
}

}  // namespace octconv
