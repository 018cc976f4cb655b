// What a block works through: items, one after the other, each a split of a tile. What it has to
// know of the one at hand and of the next one lies in shared memory, so that the copies of the next
// one can start early.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>

#include "forward_params.h"
#include "halo.cuh"

namespace octconv {

enum class ItemKind : int32_t { kLow, kHigh, kNone };

struct alignas(16) Item {
  ItemKind kind;
  int32_t tile, split;
  int32_t column;  // the first one
  TilePlace place;
  int32_t begin, end;  // chunks, of both segments
};

__device__ __forceinline__ const Program& program_of(const ForwardParams& p, ItemKind kind) {
  return kind == ItemKind::kHigh ? p.high : p.low;
}

// The memory of an item: itself, and the tables of its two segments.
template <typename Traits>
struct ItemSlot {
  static constexpr uint32_t kItemBytes = Traits::kItemBytes, kWords = kItemBytes / 16;
  static_assert(kItemBytes == sizeof(Item));
  uint32_t address;

  __device__ __forceinline__ uint32_t row_table(int32_t segment) const {
    return address + kItemBytes + segment * Traits::kTableBytes;
  }
  __device__ __forceinline__ uint32_t column_table(int32_t segment) const {
    return row_table(segment) + Traits::kTableRows * 8;
  }
  __device__ __forceinline__ Item item() const {
    ptx::Word128 word[kWords];
    for (uint32_t i = 0; i < kWords; ++i) ptx::load_shared(word[i], address + 16 * i);
    Item item;
    memcpy(&item, word, kItemBytes);
    return item;
  }
  __device__ __forceinline__ void store(const Item& item) const {
    ptx::Word128 word[kWords];
    memcpy(word, &item, kItemBytes);
    for (uint32_t i = 0; i < kWords; ++i) ptx::store_shared(address + 16 * i, word[i]);
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

// Writes what there is to know of the `count`-th item; a barrier must follow.
template <typename Traits>
__device__ __forceinline__ void prepare_item(const ForwardParams& p, int64_t count,
                                             const ItemSlot<Traits>& slot) {
  const Item item = find_item(p, count);
  if (ptx::thread_x() == 0) slot.store(item);
  if (item.kind == ItemKind::kNone) return;
  const Program& program = program_of(p, item.kind);
#pragma unroll 1
  for (int i = 0; i < 2; ++i) {
    const Segment& segment = program.segment[i];
    if (segment.channels == 0) continue;
    make_tables<Traits>(p, segment, HaloShape::of<Traits>(program, segment.phases), item.place,
                        slot.row_table(i), slot.column_table(i));
  }
}

}  // namespace octconv
