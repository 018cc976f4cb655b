// What a block works through: items, one after the other, each a split of a tile, whose channels
// come in chunks.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "halo.cuh"
#include "params/forward_sm80.h"
#include "traits/forward_sm80.h"

namespace octconv {

enum class ItemKind : int32_t { kLow, kHigh, kNone };

struct Item {
  ItemKind kind;
  int32_t tile, split;
  int32_t column;  // the first one
  TilePlace place;
  int32_t begin, end;  // chunks, of both segments
};

__device__ __forceinline__ const Program& program_of(const ForwardParams& p, ItemKind kind) {
  return kind == ItemKind::kHigh ? p.high : p.low;
}

// Calls visit(TileTraits) of the item's kind.
template <typename Traits, typename Visit>
__device__ __forceinline__ void with_tile(ItemKind kind, const Visit& visit) {
  if (kind == ItemKind::kHigh) {
    visit(TileTraits<Traits, true>());
  } else {
    visit(TileTraits<Traits, false>());
  }
}

// The segment of a chunk, and its first channel there.
struct Chunk {
  int32_t segment, channel;

  static __device__ __forceinline__ Chunk of(const Program& program, int32_t index, int32_t size) {
    const bool second = index >= program.chunks[0];
    return {second ? 1 : 0, (index - (second ? program.chunks[0] : 0)) * size};
  }
};

// The numbers of this block's items. Blocks take turns at each place of a wave, or some would get
// only low tiles.
struct ItemNumbers {
  int32_t wave = 0;  // its first item
  int32_t place = ptx::block_x();

  __device__ __forceinline__ int32_t next(const ForwardParams& p) {
    const auto blocks = static_cast<int32_t>(ptx::blocks_x());
    const int32_t number = wave + place;
    wave += blocks;
    place += p.rotation;
    if (place >= blocks) place -= blocks;
    return number;
  }
};

// How many of the first items are low ones. They come evenly between the high ones, so that both
// read a region while it is in the second-level cache.
__device__ __forceinline__ int32_t low_items_before(const ForwardParams& p, int32_t number) {
  return static_cast<int32_t>(uint64_t{static_cast<uint32_t>(number)} * p.low_share >> 31);
}

__device__ __forceinline__ Item find_item(const ForwardParams& p, int32_t number) {
  Item item{};
  item.kind = ItemKind::kNone;
  if (number >= p.tile_items) return item;
  const int32_t low_before = low_items_before(p, number);
  const bool low = low_items_before(p, number + 1) > low_before;
  item.kind = low ? ItemKind::kLow : ItemKind::kHigh;
  const Program& program = program_of(p, item.kind);
  const int32_t of_kind = low ? low_before : number - low_before;
  item.tile = program.by_splits.quotient(of_kind);
  item.split = of_kind - item.tile * program.splits;
  const int32_t spatial = program.by_tiles_columns.quotient(item.tile);
  item.column = (item.tile - spatial * program.tiles_columns) * program.tile_columns;
  const int32_t down = program.by_tiles_across.quotient(spatial);
  item.place.row = down * program.tile_height;
  item.place.x = (spatial - down * program.tiles_across) * program.tile_width;
  item.place.image = p.by_quad_height.quotient(item.place.row);
  item.place.y = item.place.row - item.place.image * p.quad_height;
  const int32_t chunks = program.chunks[0] + program.chunks[1];
  item.begin = program.by_splits.quotient(chunks * item.split);
  item.end = program.by_splits.quotient(chunks * (item.split + 1));
  return item;
}

}  // namespace octconv
