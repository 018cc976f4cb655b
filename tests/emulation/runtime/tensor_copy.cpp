#include "tensor_copy.h"

#include <algorithm>
#include <cstring>

#include "counting_barrier.h"
#include "engine.h"
#include "memory.h"
#include "sanitizers.h"

namespace emulation {
namespace {

constexpr uint64_t kMark = 0x70616D20726F736E;
constexpr uint32_t kElement = 2, kMostBox = 256, kAlignment = 128;
#if defined(__aarch64__)  // where g++ aligns copies of parameters so, whatever their type asks for
constexpr uintptr_t kMapAlignment = 16;
#else
constexpr uintptr_t kMapAlignment = 64;
#endif
constexpr const char* kStoreName = "store_box";

void require(bool condition, const std::string& text) {
  if (!condition) throw Failure("tensor map: " + text);
}

}  // namespace

// The rules of cuTensorMapEncodeTiled.
TensorDescription describe_tensor(const void* address, uint32_t rank, const uint64_t* sizes,
                                  const uint64_t* strides, const uint32_t* box, bool is_swizzled) {
  TensorDescription tensor{};
  tensor.mark = kMark;
  tensor.address = static_cast<const std::byte*>(address);
  tensor.rank = rank;
  tensor.is_swizzled = is_swizzled;
  require(reinterpret_cast<uintptr_t>(address) % 16 == 0, "an address off a multiple of 16 bytes");
  require(rank >= 3 && rank <= kMostRank, "rank " + std::to_string(rank));
  for (uint32_t i = 0; i < rank; ++i) {
    require(sizes[i] >= 1 && sizes[i] < uint64_t{1} << 32, "size " + std::to_string(sizes[i]));
    require(box[i] >= 1 && box[i] <= kMostBox, "box of " + std::to_string(box[i]));
    tensor.sizes[i] = static_cast<uint32_t>(sizes[i]);
    tensor.box[i] = box[i];
    if (i + 1 == rank) break;
    require(strides[i] % 16 == 0 && strides[i] < uint64_t{1} << 40,
            "stride " + std::to_string(strides[i]));
    tensor.strides[i] = strides[i];
  }
  const uint32_t row_bytes = box[0] * kElement;
  require(row_bytes == 32 || row_bytes == 64 || row_bytes == 128,
          "rows of " + std::to_string(row_bytes) + " bytes, which no swizzle has");
  return tensor;
}

uint32_t BoxCopy::rows() const {
  uint32_t rows = 1;
  for (uint32_t i = 1; i < tensor.rank; ++i) rows *= tensor.box[i];
  return rows;
}

namespace {

void check_fenced(const LastUse& use, const char* what, const char* instruction, const Site& at) {
  const Thread* thread = unfenced(use);
  if (!thread) return;
  fail(instruction, at,
       "thread " + std::to_string(thread->index) + " has " + what +
           " there without a fence_shared behind it");
}

TensorDescription description_at(const void* map, const char* instruction, const Site& at) {
  if (reinterpret_cast<uintptr_t>(map) % kMapAlignment != 0) {
    fail(instruction, at, "a tensor map off a multiple of 64 bytes");
  }
  TensorDescription tensor;
  std::memcpy(&tensor, map, sizeof tensor);
  if (tensor.mark != kMark) fail(instruction, at, "that is no tensor map");
  return tensor;
}

// By what it holds, for each thread has a copy of the parameters. Whether it is new to the block.
bool note_map(const void* map) {
  return self->block->maps.emplace(static_cast<const char*>(map), sizeof(TensorDescription)).second;
}

// What loads and stores have in common.
BoxCopy box_of(const void* map, const Place& shared, uint32_t rank, const int32_t* first,
               const char* instruction, const Site& at) {
  yield();
  BoxCopy copy{};
  copy.tensor = description_at(map, instruction, at);
  if (note_map(map)) ++engine->counters.cold_maps;
  if (copy.tensor.rank != rank) {
    fail(instruction, at,
         std::to_string(rank) + " coordinates in a tensor of rank " +
             std::to_string(copy.tensor.rank));
  }
  std::copy(first, first + rank, copy.first);
  copy.shared = shared;
  copy.thread = self;
  copy.instruction = instruction;
  copy.at = at;
  check_aligned(shared.address, kAlignment, instruction, at);
  shared_range(*shared.block, shared.address, copy.bytes(), instruction, at);
  for (uint32_t offset = 0; offset < copy.bytes(); offset += 16) {
    const SharedPiece& piece = piece_at(*shared.block, shared.address + offset);
    if (piece.holds_barrier) fail(instruction, at, "a barrier lies there");
    check_fenced(piece.store, "stored", instruction, at);
  }
  return copy;
}

}  // namespace

void prefetch_map(const void* map, const Site& at) {
  const IgnoreAccesses ignore;
  description_at(map, "prefetch_map", at);
  note_map(map);
}

BoxCopy begin_box(const Place& target, const void* map, const Place& barrier, uint32_t rank,
                  const int32_t* first, bool again, void (*land)(const BoxCopy&),
                  const char* instruction, const Site& at) {
  const IgnoreAccesses ignore;
  BoxCopy copy = box_of(map, target, rank, first, instruction, at);
  copy.barrier = barrier;
  copy.again = again;
  copy.land = land;
  for (uint32_t offset = 0; offset < copy.bytes(); offset += 16) {
    check_fenced(piece_at(*target.block, target.address + offset).load, "loaded", instruction, at);
  }
  check_fenced(barrier, instruction, at);
  if (!again) ++engine->counters.box_copies;
  engine->counters.box_bytes += copy.bytes();
  return copy;
}

void queue_box(const BoxCopy& copy) {
  release(engine);
  const IgnoreAccesses ignore;
  engine->copies.push_back(copy);
}

void box_has_landed(const BoxCopy& copy) {
  const IgnoreAccesses ignore;
  const bool may_be_early = copy.barrier.block != copy.thread->block;
  complete_bytes(copy.barrier, copy.bytes(), may_be_early, copy.instruction, copy.at);
}

BoxRow box_row(const BoxCopy& copy, uint32_t row, bool store) {
  const IgnoreAccesses ignore;
  const TensorDescription& tensor = copy.tensor;
  const std::byte* global = tensor.address;
  for (uint32_t i = 1; i < tensor.rank; ++i) {
    const int64_t index = int64_t{copy.first[i]} + row % tensor.box[i];
    row /= tensor.box[i];
    if (index < 0 || index >= tensor.sizes[i]) return {nullptr, 0, 0};
    global += index * static_cast<int64_t>(tensor.strides[i - 1]);
  }
  const int64_t box = tensor.box[0], first = copy.first[0];
  const int64_t begin = std::max<int64_t>(0, -first);
  const int64_t end = std::min<int64_t>(box, tensor.sizes[0] - first);
  if (begin >= end) return {nullptr, 0, 0};
  global += (first + begin) * kElement;
  const auto bytes = static_cast<uint32_t>((end - begin) * kElement);
  const char* name = copy.instruction;
  Buffer& buffer = buffer_of(global, bytes, name, copy.at);
  if (store && !buffer.writable)
    fail(name, copy.at, "writes " + buffer.name + ", which is an input");
  if (store) std::memset(&buffer.written[global - buffer.begin], 1, bytes);
  if (!store && buffer.writable) check_written(buffer, global, bytes, name, copy.at);
  const auto address = reinterpret_cast<uintptr_t>(global);
  const uint64_t sectors = (address + bytes - 1) / 32 - address / 32 + 1;
  if (store) engine->counters.sectors_written += sectors;
  if (!store && !copy.again) engine->counters.box_sectors += sectors;
  return {const_cast<std::byte*>(global), static_cast<uint32_t>(begin * kElement),
          static_cast<uint32_t>(end * kElement)};
}

std::byte* box_piece(const BoxCopy& copy, uint32_t row, uint32_t piece, bool store) {
  const IgnoreAccesses ignore;
  uint32_t address = copy.shared.address + row * copy.row_bytes() + piece * 16;
  if (copy.tensor.is_swizzled) address = swizzled(address, copy.row_bytes());
  Block& block = *copy.shared.block;
  if (!store) piece_at(block, address).store = piece_at(block, address).load = {};
  return block.shared + (address - block.first_address);
}

BoxCopy begin_store(const void* map, uint32_t shared, uint32_t rank, const int32_t* first,
                    const Site& at) {
  const IgnoreAccesses ignore;
  BoxCopy store = box_of(map, own_place(shared), rank, first, kStoreName, at);
  store.group = self->store_group;
  return store;
}

void queue_store(const BoxCopy& store) {
  const IgnoreAccesses ignore;
  self->stores.push_back(store);
}

void commit_stores() { ++self->store_group; }

bool next_to_store(uint32_t pending, BoxCopy& store) {
  const IgnoreAccesses ignore;
  if (self->stores.empty() || self->stores.front().group + pending >= self->store_group) {
    return false;
  }
  store = self->stores.front();
  self->stores.pop_front();
  return true;
}

}  // namespace emulation
