// What a block works through: items, one after the other, each a split of a tile, whose channels
// come in chunks.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "forward_params.h"
#include "forward_traits.h"
#include "halo.cuh"

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

// The `count`-th item of this block. Low tiles come evenly between the high ones, so that both read
// a region while it is in the second-level cache. Blocks take turns at each place of a wave, or
// some would get only low tiles.
__device__ __forceinline__ Item find_item(const ForwardParams& p, int64_t count) {
  const int64_t low_items = p.low.items(), items = p.high.items() + low_items;
  const int64_t number =
      count * ptx::blocks_x() + (ptx::block_x() + count * p.rotation) % ptx::blocks_x();
  Item item{};
  item.kind = ItemKind::kNone;
  if (number >= items) return item;
  const int64_t low_before = number * low_items / items;
  const bool low = (number + 1) * low_items / items > low_before;
  item.kind = low ? ItemKind::kLow : ItemKind::kHigh;
  const Program& program = program_of(p, item.kind);
  const auto of_kind = static_cast<int32_t>(low ? low_before : number - low_before);
  item.tile = of_kind / program.splits;
  item.split = of_kind % program.splits;
  const int32_t spatial = item.tile / program.tiles_columns;
  item.column = item.tile % program.tiles_columns * program.tile_columns;
  item.place.row = spatial / program.tiles_across * program.tile_height;
  item.place.x = spatial % program.tiles_across * program.tile_width;
  item.place.image = item.place.row / p.quad_height;
  item.place.y = item.place.row % p.quad_height;
  const int32_t chunks = program.chunks[0] + program.chunks[1];
  item.begin = chunks * item.split / program.splits;
  item.end = chunks * (item.split + 1) / program.splits;
  return item;
}

}  // namespace octconv
