// Host twin of csrc/device/sm90/tensor_copy.cuh. Late, a copy turns its target to NaNs at once and
// lands when no thread can run; a store reads when its thread waits for that.
#pragma once

#include <cstdint>
#include <cstring>

#include "device/memory.cuh"
#include "runtime/engine.h"
#include "runtime/tensor_copy.h"

namespace octconv::ptx {

using emulation::Site;

inline void prefetch_map(const void* map, Site at = Site::current()) {
  emulation::prefetch_map(map, at);
}

inline void write_box_row(const emulation::BoxCopy& copy, uint32_t row, const void* bytes) {
  for (uint32_t piece = 0; piece < copy.row_bytes() / 16; ++piece) {
    Word128 word;
    std::memcpy(&word, static_cast<const std::byte*>(bytes) + piece * 16, sizeof word);
    write_word(emulation::box_piece(copy, row, piece, false), word);
  }
}

inline void land_box(const emulation::BoxCopy& copy) {
  for (uint32_t i = 0; i < copy.rows(); ++i) {
    std::byte bytes[emulation::kMostRowBytes] = {};
    const emulation::BoxRow row = emulation::box_row(copy, i, false);
    if (row.global) std::memcpy(bytes + row.begin, row.global, row.end - row.begin);
    write_box_row(copy, i, bytes);
  }
  emulation::box_has_landed(copy);
}

template <uint32_t kRank>
void copy_box_to(const emulation::Place& shared, const void* map, const emulation::Place& barrier,
                 const int32_t (&first)[kRank], bool again, const char* instruction, Site at) {
  const emulation::BoxCopy copy =
      emulation::begin_box(shared, map, barrier, kRank, first, again, land_box, instruction, at);
  if (!emulation::engine->options().late) return land_box(copy);
  std::byte nans[emulation::kMostRowBytes];
  std::memset(nans, 0xFF, sizeof nans);
  for (uint32_t row = 0; row < copy.rows(); ++row) write_box_row(copy, row, nans);
  emulation::queue_box(copy);
}

template <uint32_t kRank>
void copy_box_at(uint32_t shared, const void* map, uint32_t barrier, const int32_t (&first)[kRank],
                 Site at) {
  copy_box_to(emulation::own_place(shared), map, emulation::own_place(barrier), first, false,
              "copy_box", at);
}

inline void copy_box(uint32_t shared, const void* map, uint32_t barrier, int32_t c0, int32_t c1,
                     int32_t c2, Site at = Site::current()) {
  copy_box_at(shared, map, barrier, {c0, c1, c2}, at);
}
inline void copy_box(uint32_t shared, const void* map, uint32_t barrier, int32_t c0, int32_t c1,
                     int32_t c2, int32_t c3, Site at = Site::current()) {
  copy_box_at(shared, map, barrier, {c0, c1, c2, c3}, at);
}
inline void copy_box(uint32_t shared, const void* map, uint32_t barrier, int32_t c0, int32_t c1,
                     int32_t c2, int32_t c3, int32_t c4, Site at = Site::current()) {
  copy_box_at(shared, map, barrier, {c0, c1, c2, c3, c4}, at);
}

inline void copy_box_to_all(uint32_t shared, const void* map, uint32_t barrier, uint32_t blocks,
                            int32_t c0, int32_t c1, int32_t c2, int32_t c3,
                            Site at = Site::current()) {
  constexpr const char* kName = "copy_box_to_all";
  bool again = false;
  for (uint32_t rank = 0; blocks >> rank; ++rank) {
    if (!(blocks >> rank & 1)) continue;
    const auto of_rank = [&](uint32_t address) {
      return emulation::place_of_rank(address, rank, kName, at);
    };
    copy_box_to<4>(of_rank(shared), map, of_rank(barrier), {c0, c1, c2, c3}, again, kName, at);
    again = true;
  }
}

inline void carry_out(const emulation::BoxCopy& store) {
  for (uint32_t i = 0; i < store.rows(); ++i) {
    const emulation::BoxRow row = emulation::box_row(store, i, true);
    if (!row.global) continue;
    std::byte bytes[emulation::kMostRowBytes];
    for (uint32_t piece = 0; piece < store.row_bytes() / 16; ++piece) {
      Word128 word;
      read_word(word, emulation::box_piece(store, i, piece, true));
      std::memcpy(bytes + piece * 16, &word, sizeof word);
    }
    std::memcpy(row.global, bytes + row.begin, row.end - row.begin);
  }
}

inline void store_box(const void* map, uint32_t shared, int32_t c0, int32_t c1, int32_t c2,
                      int32_t c3, Site at = Site::current()) {
  const int32_t first[] = {c0, c1, c2, c3};
  const emulation::BoxCopy store = emulation::begin_store(map, shared, 4, first, at);
  if (!emulation::engine->options().late) return carry_out(store);
  emulation::queue_store(store);
}

inline void commit_stores() { emulation::commit_stores(); }

template <int kPending>
void wait_stores_read() {
  for (emulation::BoxCopy store; emulation::next_to_store(kPending, store);) carry_out(store);
}

}  // namespace octconv::ptx
