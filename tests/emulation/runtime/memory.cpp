#include "memory.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

#include "engine.h"
#include "sanitizers.h"

namespace emulation {

std::vector<Buffer>* buffers = nullptr;

namespace {

// Room for red zones behind more buffers than any kernel has; whole pages.
constexpr size_t kArenaBytes = kMostSharedBytes + 33 * kRedZone;
static_assert(kArenaBytes % 4096 == 0);

std::string bytes_text(uint32_t bytes) { return std::to_string(bytes) + " bytes"; }

uint64_t key_of(const Site& at) {
  return reinterpret_cast<uintptr_t>(at.file_name()) * 1000003 + at.line() * 509 + at.column();
}

void close_access(WarpAccess& access, Counters& counters) {
  if (access.global_bytes) {
    uint64_t sectors[2 * kLanes];
    uint32_t count = 0;
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      if (!(access.lanes & 1u << lane) || access.global[lane] == 0) continue;
      const uint64_t sector = access.global[lane] / 32;  // no access spans two
      bool seen = false;
      for (uint32_t i = 0; i < count && !seen; ++i) seen = sectors[i] == sector;
      if (!seen) sectors[count++] = sector;
    }
    (access.write_global ? counters.sectors_written : counters.sectors_read) += count;
  }
  if (access.shared_bytes) {
    const auto [all, conflicts] = wavefronts(access.shared, access.lanes, access.shared_bytes);
    *access.wavefronts += all;
    counters.bank_conflicts += conflicts;
  }
}

// The lanes of a warp run an access one after the other here: those of the same place, each as
// often run before, are one execution of it.
template <typename Fill>
void count_access(const Site& at, Fill fill) {
  Warp& warp = *self->warp;
  const uint64_t place = key_of(at);
  const uint64_t key = place * 0x9E3779B97F4A7C15u + self->accesses[place]++;
  WarpAccess& access = warp.accesses[key];
  access.lanes |= 1u << self->lane;
  fill(access);
  if (access.lanes == warp.all()) {
    close_access(access, engine->counters);
    warp.accesses.erase(key);
  }
}

void check_waited(const char* instruction, const Site& at) {
  if (engine->shape().overlaps && !self->waited) {
    fail(instruction, at, "no wait_for_prerequisites before it");
  }
}

}  // namespace

void check_aligned(uintptr_t address, uint32_t bytes, const char* instruction, const Site& at) {
  if (address % bytes != 0) {
    fail(instruction, at,
         "misaligned: the address is " + std::to_string(address % bytes) + " off a multiple of " +
             bytes_text(bytes));
  }
}

Buffer& buffer_of(const void* address, uint32_t bytes, const char* instruction, const Site& at) {
  check_waited(instruction, at);
  const auto* first = static_cast<const std::byte*>(address);
  Buffer* before = nullptr;
  for (Buffer& buffer : *buffers) {
    if (first >= buffer.begin && first + bytes <= buffer.begin + buffer.bytes) return buffer;
    if (first >= buffer.begin && (!before || before->begin < buffer.begin)) before = &buffer;
  }
  if (!before) fail(instruction, at, bytes_text(bytes) + " before every buffer");
  fail(instruction, at,
       bytes_text(bytes) + " at byte " + std::to_string(first - before->begin) + " of " +
           before->name + ", which has " + std::to_string(before->bytes));
}

void check_written(Buffer& buffer, const void* address, uint32_t bytes, const char* instruction,
                   const Site& at) {
  const size_t first = static_cast<const std::byte*>(address) - buffer.begin;
  if (!std::memchr(&buffer.written[first], 0, bytes)) return;
  fail(instruction, at,
       "reads " + buffer.name + " at byte " + std::to_string(first) + " before it is written");
}

std::byte* global(const void* address, uint32_t bytes, Access access, const char* instruction,
                  const Site& at) {
  IgnoreAccesses ignore;
  const auto where = reinterpret_cast<uintptr_t>(address);
  check_aligned(where, bytes, instruction, at);
  Buffer& buffer = buffer_of(address, bytes, instruction, at);
  if (access == Access::kReadConstant && buffer.writable) {
    fail(instruction, at, "ld.global.nc of " + buffer.name + ", which kernels write");
  }
  if (access == Access::kReadConstant && engine->shape().overlaps) {
    fail(instruction, at, "ld.global.nc of " + buffer.name + ", which the launch before may write");
  }
  if (access == Access::kWrite && !buffer.writable) {
    fail(instruction, at, "writes " + buffer.name + ", which is an input");
  }
  if (access == Access::kRead && buffer.writable) {
    check_written(buffer, address, bytes, instruction, at);
  }
  if (access == Access::kWrite) {
    self->fenced = false;
    std::memset(&buffer.written[static_cast<const std::byte*>(address) - buffer.begin], 1, bytes);
  }
  if (engine->options().count) {
    count_access(at, [&](WarpAccess& counted) {
      counted.global_bytes = bytes;
      counted.write_global = access == Access::kWrite;
      counted.global[self->lane] = where;
    });
  }
  return static_cast<std::byte*>(const_cast<void*>(address));
}

std::byte* shared(uint32_t address, uint32_t bytes, const char* instruction, const Site& at) {
  check_aligned(address, bytes, instruction, at);
  return shared_range(address, bytes, instruction, at);
}

std::byte* shared_range(uint32_t address, uint32_t bytes, const char* instruction, const Site& at) {
  return shared_range(*self->block, address, bytes, instruction, at);
}

std::byte* shared_range(const Block& block, uint32_t address, uint32_t bytes,
                        const char* instruction, const Site& at) {
  IgnoreAccesses ignore;
  const SharedBuffer* before = nullptr;
  for (const SharedBuffer& buffer : block.buffers) {
    if (address < buffer.address) break;
    before = &buffer;
  }
  if (!before || address + bytes > before->address + before->bytes) {
    const std::string text = bytes_text(bytes) + " of shared memory ";
    if (!before) fail(instruction, at, text + "before every buffer");
    fail(instruction, at,
         text + "at byte " + std::to_string(address - before->address) + " of buffer " +
             std::to_string(before - block.buffers.data()) + ", which has " +
             std::to_string(before->bytes));
  }
  return block.shared + (address - block.first_address);
}

SharedPiece& piece_at(Block& block, uint32_t address) {
  return block.pieces[(address - block.first_address) / 16];
}

const Thread* unfenced(const LastUse& use) {
  return use.thread && use.thread->proxy_fences == use.fences ? use.thread : nullptr;
}

std::byte* shared_store(uint32_t address, uint32_t bytes, const char* instruction, const Site& at) {
  std::byte* memory = shared(address, bytes, instruction, at);
  SharedPiece& piece = piece_at(*self->block, address);
  if (piece.holds_barrier) fail(instruction, at, "a barrier lies there");
  piece.store = {self, self->proxy_fences};
  return memory;
}

std::byte* shared_load(uint32_t address, uint32_t bytes, const char* instruction, const Site& at) {
  const IgnoreAccesses ignore;
  std::byte* memory = shared(address, bytes, instruction, at);
  piece_at(*self->block, address).load = {self, self->proxy_fences};
  return memory;
}

Copy begin_copy(uint32_t target, const void* source, uint32_t source_bytes, const Site& at) {
  constexpr const char* kName = "copy_async";
  IgnoreAccesses ignore;
  const Copy copy{shared_store(target, 16, kName, at), source, source_bytes, self->group};
  const auto where = reinterpret_cast<uintptr_t>(source);
  check_aligned(where, 16, kName, at);
  if (source_bytes > 16) fail(kName, at, bytes_text(source_bytes) + ", more than 16");
  if (source_bytes) {
    Buffer& buffer = buffer_of(source, source_bytes, kName, at);
    if (buffer.writable) check_written(buffer, source, source_bytes, kName, at);
  }
  if (engine->options().late) self->copies.push_back(copy);
  if (!engine->options().count) return copy;
  if (self->lane == 0) ++engine->counters.copies;
  count_access(at, [&](WarpAccess& counted) {
    counted.global_bytes = counted.shared_bytes = 16;
    counted.wavefronts = &engine->counters.copy_wavefronts;
    counted.global[self->lane] = source_bytes ? where : 0;
    counted.shared[self->lane] = target;
  });
  return copy;
}

void commit_copies() { ++self->group; }

bool next_to_land(uint32_t pending, Copy& copy) {
  IgnoreAccesses ignore;
  if (self->copies.empty() || self->copies.front().group + pending >= self->group) return false;
  copy = self->copies.front();
  self->copies.pop_front();
  const auto offset = static_cast<const std::byte*>(copy.target) - self->block->shared;
  self->block->pieces[offset / 16].store.fences = self->proxy_fences;  // it is stored now
  return true;
}

void count_shared(uint32_t address, uint32_t bytes, bool store, const Site& at) {
  IgnoreAccesses ignore;
  if (!engine->options().count) return;
  Counters& counters = engine->counters;
  count_access(at, [&](WarpAccess& counted) {
    counted.shared_bytes = bytes;
    counted.wavefronts = store ? &counters.store_wavefronts : &counters.load_wavefronts;
    counted.shared[self->lane] = address;
  });
}

// Accesses of 8 bytes go by half warps, those of 16 by quarters; in each part a bank gives one word
// of 4 bytes a wavefront, to all who ask for that word.
Wavefronts wavefronts(const uint32_t* addresses, uint32_t lanes, uint32_t bytes) {
  const uint32_t words = bytes < 4 ? 1 : bytes / 4, part = kLanes / words;
  Wavefronts result{0, 0};
  for (uint32_t first = 0; first < kLanes; first += part) {
    uint32_t seen[kLanes][kLanes], count[kLanes] = {}, most = 0;
    for (uint32_t i = first; i < first + part; ++i) {
      if (!(lanes & 1u << i)) continue;
      for (uint32_t w = 0; w < words; ++w) {
        const uint32_t word = addresses[i] / 4 + w, bank = word % 32;
        bool known = false;
        for (uint32_t j = 0; j < count[bank] && !known; ++j) known = seen[bank][j] == word;
        if (!known) seen[bank][count[bank]++] = word;
        most = count[bank] > most ? count[bank] : most;
      }
    }
    result.all += most;
    result.conflicts += most > 0 ? most - 1 : 0;
  }
  return result;
}

void count_open_accesses(Block& block, Counters& counters) {
  for (Warp& warp : block.warps) {
    for (auto& [key, access] : warp.accesses) close_access(access, counters);
    warp.accesses.clear();
  }
}

void wait_for_prerequisites() { self->waited = true; }

void launch_dependents(const Site& at) { check_waited("launch_dependents", at); }

uint32_t take_shared(uint32_t bytes, const Site& at) {
  IgnoreAccesses ignore;
  constexpr const char* kName = "SharedMemory::take";
  Block& block = *self->block;
  const uint32_t number = self->shared_buffers++;
  if (number < block.buffers.size()) {
    if (block.buffers[number].bytes != bytes) {
      fail(kName, at,
           bytes_text(bytes) + "; another thread took " + bytes_text(block.buffers[number].bytes));
    }
    return block.buffers[number].address;
  }
  if (bytes % 16 != 0) fail(kName, at, bytes_text(bytes) + ", not a multiple of 16");
  block.shared_taken += bytes;
  if (block.shared_taken > engine->shape().shared_bytes) {
    fail(kName, at,
         bytes_text(block.shared_taken) + " in all; the launch gives " +
             bytes_text(engine->shape().shared_bytes));
  }
  uint32_t address = block.first_address;
  if (number > 0) {
    const SharedBuffer& last = block.buffers.back();
    address = last.address + last.bytes + kRedZone;
  }
  block.buffers.push_back({address, bytes});
  unpoison(block.shared + (address - block.first_address), bytes);
  return address;
}

std::byte* new_shared_arena() {
  void* arena =
      mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (arena == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(arena);
}

// 0xFF bytes are NaNs in every floating-point type.
void clear_shared_arena(Block& block) {
  std::byte* arena = block.shared;
  block.pieces.assign(kArenaBytes / 16, {});
  unpoison(arena, kArenaBytes);
  forget_accesses(arena, kArenaBytes);
  std::memset(arena, 0xFF, kArenaBytes);
  poison(arena, kArenaBytes);
}

void free_shared_arena(std::byte* arena) {
  unpoison(arena, kArenaBytes);
  munmap(arena, kArenaBytes);
}

}  // namespace emulation
