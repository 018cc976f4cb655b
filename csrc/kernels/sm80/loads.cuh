// What the loading warps of forward_sm80 do: all chunks of all items of the block, one stream.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "forward_params.h"
#include "halo.cuh"
#include "item.cuh"
#include "turns.cuh"
#include "weight.cuh"

namespace octconv {

// The tables of the two segments of the item at hand.
template <typename Traits>
struct Tables {
  uint32_t address;

  __device__ __forceinline__ uint32_t rows(int32_t segment) const {
    return address + segment * Traits::kTableBytes;
  }
  __device__ __forceinline__ uint32_t columns(int32_t segment) const {
    return rows(segment) + Traits::kTableRows * RowEntry::kBytes;
  }
  __device__ __forceinline__ void make(const ForwardParams& p, const Item& item) const {
    const Program& program = program_of(p, item.kind);
    sync_loaders<Traits>();  // nobody looks into the last item's
#pragma unroll 1
    for (int i = 0; i < 2; ++i) {
      const Segment& segment = program.segment[i];
      if (segment.channels == 0) continue;
      make_tables<Traits>(p, segment, HaloShape::of<Traits>(program, segment.phases), item.place,
                          rows(i), columns(i));
    }
    sync_loaders<Traits>();
  }
};

template <typename Traits>
__device__ __forceinline__ void load_items(const ForwardParams& p, Turns<Traits> turns,
                                           uint32_t halos, const Tables<Traits>& tables) {
  uint32_t turn = 0, halo = halos;
  int32_t last_stage = 0;
  for (int64_t count = 0;; ++count) {
    const Item item = find_item(p, count);
    if (item.kind == ItemKind::kNone) break;
    const Program& program = program_of(p, item.kind);
    tables.make(p, item);
    for (int32_t index = item.begin; index < item.end; ++index) {
      const Chunk chunk = Chunk::of(program, index, Traits::kChunk);
      const Segment& segment = program.segment[chunk.segment];
#pragma unroll 1
      for (int32_t tap_row = 0; tap_row < Traits::kTaps; ++tap_row) {
        // Then all earlier turns are over, too: with at most kTaps + 1 stages those of the chunk
        // before last, whose halo was where this one's is to be.
        if (turn >= static_cast<uint32_t>(turns.stages)) turns.wait_until_free();
        with_tile<Traits>(item.kind, [&](auto tile) {
          load_weight<decltype(tile)>(p, segment, program.columns, item.column, chunk.channel,
                                      tap_row, turns.row());
        });
        if (tap_row == 0) {
          load_halo<Traits>(segment, HaloShape::of<Traits>(program, segment.phases), chunk.channel,
                            halo, tables.rows(chunk.segment), tables.columns(chunk.segment));
        }
        ptx::commit_copies();
        if (turn > 0) {  // the turn before has landed
          ptx::wait_copies<1>();
          turns.say_full(last_stage);
        }
        last_stage = turns.stage;
        turns.advance();
        ++turn;
      }
      halo = halo == halos ? halos + p.halo_bytes : halos;
    }
  }
  if (turn == 0) return;
  ptx::wait_copies<0>();
  turns.say_full(last_stage);
  // The multipliers say of every turn that its stage is free; somebody must hear it.
  const bool all = turn >= static_cast<uint32_t>(turns.stages);
  if (!all) turns.stage = 0;
  for (int32_t i = all ? turns.stages : static_cast<int32_t>(turn); i > 0; --i) {
    turns.wait_until_free();
    turns.advance();
  }
}

}  // namespace octconv
