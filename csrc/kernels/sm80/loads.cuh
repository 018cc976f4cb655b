// What the loading warps of forward_sm80 do: all chunks of all items of the block, one stream.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "halo.cuh"
#include "item.cuh"
#include "kernels/with_taps.cuh"
#include "params/forward_sm80.h"
#include "turns.cuh"
#include "wait_copies.cuh"
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
      make_tables<Traits>(p, segment, HaloShape::of<Traits>(p, program, segment.phases), item.place,
                          rows(i), columns(i));
    }
    sync_loaders<Traits>();
  }
};

// Of some turns the copies are still under way while the next ones are begun.
template <typename Traits>
struct Loads {
  Turns<Traits> turns;
  uint32_t halos, halo_bytes;
  int32_t turn = 0, chunk = 0;  // of the stream

  __device__ __forceinline__ int32_t most_under_way() const { return turns.stages - 2; }

  // The turn `before` turns ago has landed, if there was one.
  __device__ __forceinline__ void say_full(int32_t before) const {
    if (turn < before) return;
    turns.say_full(turns.stage - before + (turns.stage < before ? turns.stages : 0));
  }

  // Only the weight is looked at by tile: all else would be compiled for both for nothing.
  __device__ __forceinline__ void load_chunk(const ForwardParams& p, const Item& item,
                                             int32_t index, const Tables<Traits>& tables) {
    const Program& program = program_of(p, item.kind);
    const Chunk of = Chunk::of(program, index, Traits::kChunk);
    const Segment& segment = program.segment[of.segment];
    WeightRows weight;
    with_tile<Traits>(item.kind, [&](auto tile) {
      weight.set<decltype(tile)>(p, segment, program.columns, item.column, of.channel);
    });
#pragma unroll 1
    for (int32_t tap_row = 0; tap_row < taps_of<Traits>(p); ++tap_row) {
      // Then all earlier turns are over, too: with at most one stage more than there are rows of
      // taps those of the chunk before last, whose halo was where this one's is to be.
      if (turn >= turns.stages) turns.wait_until_free();
      with_tile<Traits>(item.kind, [&](auto tile) {
        with_taps<Traits>(p.taps,
                          [&](auto taps) { weight.load<decltype(tile), taps>(turns.row()); });
      });
      if (tap_row == 0) {
        HaloLoader<Traits>(segment, HaloShape::of<Traits>(p, program, segment.phases), of.channel,
                           halos + chunk % 2 * halo_bytes, tables.rows(of.segment),
                           tables.columns(of.segment))
            .load();
      }
      ptx::commit_copies();
      const int32_t under_way = most_under_way();
      wait_copies_but(under_way);
      say_full(under_way);
      turns.advance();
      ++turn;
    }
    ++chunk;
  }

  __device__ __forceinline__ void finish() {
    ptx::wait_copies<0>();
    for (int32_t before = most_under_way(); before > 0; --before) say_full(before);
    // The multipliers say of every turn that its stage is free; somebody must hear it.
    if (turn < turns.stages) turns.stage = 0;
    for (int32_t left = turn < turns.stages ? turn : turns.stages; left > 0; --left) {
      turns.wait_until_free();
      turns.advance();
    }
  }
};

template <typename Traits>
__device__ __forceinline__ void load_items(const ForwardParams& p, const Turns<Traits>& turns,
                                           uint32_t halos, const Tables<Traits>& tables) {
  Loads<Traits> loads{turns, halos, static_cast<uint32_t>(p.halo_bytes)};
  for (ItemNumbers numbers;;) {
    const Item item = find_item(p, numbers.next(p));
    if (item.kind == ItemKind::kNone) break;
    tables.make(p, item);
    for (int32_t index = item.begin; index < item.end; ++index) {
      loads.load_chunk(p, item, index, tables);
    }
  }
  loads.finish();
}

}  // namespace octconv
