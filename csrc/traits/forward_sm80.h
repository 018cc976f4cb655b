// The tiles of the portable forward kernels. What a block holds of each operand:
//   halo    rows of cells; a cell is the chunk of channels of one pixel    (rows, cells, kChunk)
//   weight  one row of taps of one chunk    (taps, columns, kChunk), transposed (taps, kChunk,
//   columns)
// and each warp, in registers:
//   sums    (m16 tiles, n8 tiles, 4)
// Plain C++: the host plans with what the kernels are made of.
#pragma once

#include <cstdint>

#include "dtype.h"

namespace octconv {

constexpr int kMostWeightStages = 4;  // rows of taps in shared memory
constexpr int kLoaderWarps = 4;       // of a block, beside those that multiply

// The pairs of a high and a low tile, since one launch holds both. A warp sums up four m16 tiles
// times kTilesN n8 tiles: of 16 quads the phases, or of 64 quads; for low tiles two warps lie side
// by side along the columns. Registers must suffice for kBlocks blocks of a multiprocessor. Of the
// odd sizes that windows may have along an axis, in taps, a kernel serves the least and the most:
// parameters choose.
struct WideTiles {  // high: 128 quads x 64 columns, low: 256 x 128
  static constexpr const char* kName = "wide";
  static constexpr int kLeastTaps = 3, kMostTaps = 3;
  static constexpr int kWarps = 8, kBlocks = 1, kChunkBytes = 64, kTilesN = 8;
  static constexpr bool kNeedsPassing = true;
};
struct SmallTiles {  // high: 64 quads x 32 columns, low: 128 x 64
  static constexpr const char* kName = "small";
  static constexpr int kLeastTaps = 1, kMostTaps = 3;
  static constexpr int kWarps = 4, kBlocks = 2, kChunkBytes = 64, kTilesN = 4;
  static constexpr bool kNeedsPassing = false;
};
struct SmallTilesOfManyTaps : SmallTiles {  // whose halos leave room for half of the channels
  static constexpr int kLeastTaps = 5, kMostTaps = 7;
  static constexpr int kChunkBytes = 32;
};

// ldmatrix wants pitches 4 banks off a multiple of all banks; tf32, transposed word by word, 8.
constexpr int weight_pitch(bool transposed, int element_bytes, int columns, int cell_pitch) {
  if (!transposed) return cell_pitch;
  return columns * element_bytes + (element_bytes == 2 ? 16 : 32);
}

template <typename Element, bool kTransposedWeight, typename PairOfTiles>
struct ForwardTraits {
  using T = Element;
  using Tiles = PairOfTiles;
  static constexpr int kLeastTaps = Tiles::kLeastTaps, kMostTaps = Tiles::kMostTaps;
  static_assert(kMostTaps - kLeastTaps <= 2);
  static constexpr bool has_taps(int32_t taps) { return taps == kLeastTaps || taps == kMostTaps; }
  static constexpr bool kTransposed = kTransposedWeight;  // of the input gradient

  // Warps that multiply, and behind them warps that load.
  static constexpr int kWarps = Tiles::kWarps;
  static constexpr int kMultiplierThreads = 32 * kWarps, kLoaderThreads = 32 * kLoaderWarps;
  static constexpr int kThreads = kMultiplierThreads + kLoaderThreads;
  static constexpr int kBlocks = Tiles::kBlocks;
  // Of a thread. Large tiles have more sums than registers, unless loaders pass some of theirs:
  // then nothing but Hopper's code serves. What is taken must have been given, or a block waits for
  // ever.
  static constexpr bool kNeedsPassing = Tiles::kNeedsPassing;
  static constexpr int kRegisters = 65536 / kBlocks / kThreads / 8 * 8;
  static constexpr int kMultiplierRegisters = kNeedsPassing ? 192 : 160;
  static constexpr int kLoaderRegisters = kNeedsPassing ? 120 : 96;
  static_assert(kMultiplierRegisters * kMultiplierThreads + kLoaderRegisters * kLoaderThreads <=
                kRegisters * kThreads);
  static constexpr int kChunkBytes = Tiles::kChunkBytes;
  static constexpr int kChunk = kChunkBytes / sizeof(T);
  static constexpr int kStepBytes = 32;                // of a cell, in a step of mma
  static constexpr int kVectors = kChunkBytes / 16;    // of a cell
  static constexpr int kCellPitch = kChunkBytes + 16;  // 8 neighbouring cells touch all 32 banks
  static constexpr int kTilesM = 4, kTilesN = Tiles::kTilesN;  // of a warp
  static constexpr int kColumnsOfWarp = 8 * kTilesN;
  // Of n8 tiles side by side, each gives a lane two sums to a row: 16 bytes of results together,
  // of columns beside each other where those of the weight are permuted.
  static constexpr int kGroup = 16 / (2 * sizeof(T)), kGroupColumns = 8 * kGroup;
  static constexpr bool kPermutes = !kTransposed;

  // Of a halo, all planes together, at most. Cells are looked up several at a time, also behind
  // the last one.
  static constexpr int kTableRows = 96, kTableCells = 96, kTablePadding = 48;
  static constexpr int kTableBytes = kTableRows * 8 + (kTableCells + kTablePadding) * 4;
};

// The same for high or for low tiles.
template <typename Traits, bool kHighTile>
struct TileTraits : Traits {
  using Pair = Traits;
  using Tiles = typename Traits::Tiles;
  static constexpr bool kHigh = kHighTile;
  static constexpr int kQuadsOfWarp = kHigh ? 16 : 16 * Traits::kTilesM;
  static constexpr int kWarpsN = kHigh ? 1 : 2;
  static constexpr int kColumns = kWarpsN * Traits::kColumnsOfWarp;
  static constexpr int kQuads = Traits::kWarps / kWarpsN * kQuadsOfWarp;

  static constexpr bool kSpreads = kHigh && Traits::kTransposed;  // results to 2x2 pixels each

  static constexpr int kWeightPitch =
      weight_pitch(Traits::kTransposed, sizeof(typename Traits::T), kColumns, Traits::kCellPitch);
  static constexpr int kTapBytes = (Traits::kTransposed ? Traits::kChunk : kColumns) * kWeightPitch;
};

// The shared memory of a block, which loads for one tile while it multiplies for another: two
// halos, as large as a launch wants them, rows of taps in two or more stages, and this.
template <typename Traits>
struct BlockMemory {
  static constexpr int kHighTap = TileTraits<Traits, true>::kTapBytes;
  static constexpr int kLowTap = TileTraits<Traits, false>::kTapBytes;
  static constexpr int kTapBytes = kHighTap > kLowTap ? kHighTap : kLowTap;
  static constexpr int kItemBytes = 2 * Traits::kTableBytes + 16;  // two segments, and the ticket
};

// The same as numbers, for plans and parameters.
struct TileLimits {
  int32_t quads, columns;
};
struct ForwardLimits {
  const char* name;
  int32_t threads, blocks;        // of a block, and blocks that registers suffice for
  bool needs_passing;             // of registers between threads
  int32_t row_bytes, item_bytes;  // of shared memory: a row of taps, and all but rows and halos
  int32_t padding, element_bytes, chunk_bytes, cell_pitch;
  int32_t table_rows, table_cells;  // of all planes of a halo, and of a row of them
  int32_t sums;                     // of an item, in floats
  TileLimits high, low;
};

template <typename Traits>
constexpr ForwardLimits limits_of(int32_t taps) {
  using High = TileTraits<Traits, true>;
  using Low = TileTraits<Traits, false>;
  return {Traits::Tiles::kName,
          Traits::kThreads,
          Traits::kBlocks,
          Traits::kNeedsPassing,
          taps * BlockMemory<Traits>::kTapBytes,
          BlockMemory<Traits>::kItemBytes,
          taps / 2,
          sizeof(typename Traits::T),
          Traits::kChunkBytes,
          Traits::kCellPitch,
          Traits::kTableRows,
          Traits::kTableCells,
          Traits::kTilesM * Traits::kTilesN * 4 * Traits::kMultiplierThreads,
          {High::kQuads, High::kColumns},
          {Low::kQuads, Low::kColumns}};
}

// Calls visit(ForwardTraits<...>()) for each instantiation of an element type and direction that
// has windows of so many taps. Launchers, plans and the emulation all walk this list; each entry
// costs several seconds of compiling for each GPU architecture. forward_1x1_sm80 serves windows of
// one tap, but for stride 2 and where splits are called for.
template <typename T, bool kTransposed, typename Visit>
void for_each_forward(int32_t taps, const Visit& visit) {
  const auto visit_if = [&](auto traits) {
    if (decltype(traits)::has_taps(taps)) visit(traits);
  };
  visit_if(ForwardTraits<T, kTransposed, SmallTiles>());
  visit_if(ForwardTraits<T, kTransposed, SmallTilesOfManyTaps>());
  visit_if(ForwardTraits<T, kTransposed, WideTiles>());
}

}  // namespace octconv
