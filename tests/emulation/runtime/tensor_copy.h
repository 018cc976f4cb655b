// Copies of boxes of tensors to shared memory and back: tensor maps, and cp.async.bulk.tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "counting_barrier.h"
#include "options.h"

namespace emulation {

constexpr uint32_t kMostRank = 5, kMostRowBytes = 128;

// What a tensor map holds here, where no driver encodes it: a tensor of 16-bit elements, innermost
// dimension first, and its box, which comes in the swizzle of as many bytes as its rows have, or in
// none.
struct alignas(64) TensorDescription {
  uint64_t mark;
  const std::byte* address;
  uint64_t strides[kMostRank - 1];  // bytes, of all but the innermost dimension
  uint32_t rank, sizes[kMostRank], box[kMostRank];
  bool is_swizzled;
};
static_assert(sizeof(TensorDescription) == 128);

// Throws Failure where a driver would refuse.
TensorDescription describe_tensor(const void* address, uint32_t rank, const uint64_t* sizes,
                                  const uint64_t* strides, const uint32_t* box,
                                  bool is_swizzled = true);

// As a parameter of a kernel, of a view with the same fields.
template <typename Map, typename View>
Map tensor_map(const View& view) {
  static_assert(sizeof(Map) == sizeof(TensorDescription) && alignof(Map) >= 64);
  if (view.empty()) return {};
  const TensorDescription description =
      describe_tensor(view.address, static_cast<uint32_t>(view.rank), view.sizes, view.strides,
                      view.box, view.swizzled);
  Map map;
  __builtin_memcpy(&map, &description, sizeof map);
  return map;
}

struct Thread;

// One copy, from its checks to its landing, which land(copy) does; or a store of a group.
struct BoxCopy {
  TensorDescription tensor;
  int32_t first[kMostRank];
  Place shared, barrier;
  uint32_t group;
  bool again;
  Thread* thread;
  const char* instruction;
  Site at;
  void (*land)(const BoxCopy&);

  uint32_t rows() const;
  uint32_t row_bytes() const { return tensor.box[0] * 2; }
  uint32_t bytes() const { return rows() * row_bytes(); }
};

// Where 16 bytes of shared memory lie in the swizzle of 32, 64 or 128 bytes that would else lie at
// `address`.
constexpr uint32_t swizzled(uint32_t address, uint32_t swizzle_bytes) {
  return address ^ (address / 128 % (swizzle_bytes / 16) * 16);
}

// A block's first use of a map that it has not prefetched is counted.
void prefetch_map(const void* map, const Site& at);

// `again`: one more target of what has been read already.
BoxCopy begin_box(const Place& target, const void* map, const Place& barrier, uint32_t rank,
                  const int32_t* first, bool again, void (*land)(const BoxCopy&),
                  const char* instruction, const Site& at);
// Of a late one: it is to land later.
void queue_box(const BoxCopy& copy);
// Tells the barrier.
void box_has_landed(const BoxCopy& copy);

// Bytes [begin, end) of a row of the box are at `global`, all others are zeros, or not stored.
struct BoxRow {
  std::byte* global;
  uint32_t begin, end;
};
BoxRow box_row(const BoxCopy& copy, uint32_t row, bool store);
// Where 16 bytes of a row lie in shared memory; of a copy, no thread has stored them from now on.
std::byte* box_piece(const BoxCopy& copy, uint32_t row, uint32_t piece, bool store);

BoxCopy begin_store(const void* map, uint32_t shared, uint32_t rank, const int32_t* first,
                    const Site& at);
void queue_store(const BoxCopy& store);
void commit_stores();
// As next_to_land of memory.h.
bool next_to_store(uint32_t pending, BoxCopy& store);

}  // namespace emulation
