// The memories of the emulated device: global buffers of exact sizes and each block's shared
// memory. Every access is checked (bounds, alignment, direction, bytes that nobody wrote) and
// counted as the hardware would: sectors of 32 bytes, and wavefronts through 32 banks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "block.h"
#include "options.h"

namespace emulation {

constexpr uint32_t kMostSharedBytes = 232448;  // of a block (sm_90)
constexpr uint32_t kSharedBase = 1024;         // the address of a block's first byte, of rank 0
constexpr uint32_t kRankShift = 24;  // in a cluster a block's rank is above the rest of an address
constexpr uint32_t kRedZone = 1024;  // behind each shared buffer; keeps banks and swizzles

// Global memory that kernels may touch.
struct Buffer {
  std::string name;
  std::byte* begin;
  size_t bytes;
  bool writable;
  std::vector<uint8_t> written;  // of a writable one: whether each byte has been
};

enum class Access { kReadConstant, kRead, kWrite };  // ld.global.nc, ld.global, st.global

// Pointers to what an access touches, after the checks. They also count it.
std::byte* global(const void* address, uint32_t bytes, Access access, const char* instruction,
                  const Site& at);
std::byte* shared(uint32_t address, uint32_t bytes, const char* instruction, const Site& at);
// The same without the alignment, of any block; and of a load and a store, which products and
// copies do not know of before the thread has passed a proxy fence.
std::byte* shared_range(uint32_t address, uint32_t bytes, const char* instruction, const Site& at);
std::byte* shared_range(const Block& block, uint32_t address, uint32_t bytes,
                        const char* instruction, const Site& at);
std::byte* shared_load(uint32_t address, uint32_t bytes, const char* instruction, const Site& at);
std::byte* shared_store(uint32_t address, uint32_t bytes, const char* instruction, const Site& at);
void check_aligned(uintptr_t address, uint32_t bytes, const char* instruction, const Site& at);
Buffer& buffer_of(const void* address, uint32_t bytes, const char* instruction, const Site& at);
void check_written(Buffer& buffer, const void* address, uint32_t bytes, const char* instruction,
                   const Site& at);

SharedPiece& piece_at(Block& block, uint32_t address);
// Who has last loaded or stored a piece and has not passed a proxy fence since; null if nobody has.
const Thread* unfenced(const LastUse& use);

// The checks of a cp.async that reads `source_bytes` and writes 16. It is queued, to land when its
// thread waits for it, if copies are late.
Copy begin_copy(uint32_t target, const void* source, uint32_t source_bytes, const Site& at);
void commit_copies();
// Takes the next copy from the queue that must have landed while `pending` groups may be under way;
// false if there is none.
bool next_to_land(uint32_t pending, Copy& copy);

// For ld.shared and st.shared: how many wavefronts the warp's accesses took.
void count_shared(uint32_t address, uint32_t bytes, bool store, const Site& at);
// The wavefronts that accesses of `bytes` take, of the lanes whose bits are set; the second number
// is how many are due to bank conflicts.
struct Wavefronts {
  uint32_t all, conflicts;
};
Wavefronts wavefronts(const uint32_t* addresses, uint32_t lanes, uint32_t bytes);
void count_open_accesses(Block& block, Counters& counters);

// The running thread may touch global memory from here on, where its launch overlaps with others.
void wait_for_prerequisites();
void launch_dependents(const Site& at);

// The buffer that SharedMemory::take gives the running thread.
uint32_t take_shared(uint32_t bytes, const Site& at);
std::byte* new_shared_arena();
void clear_shared_arena(Block& block);
void free_shared_arena(std::byte* arena);

// The buffers of the device whose kernel runs.
extern std::vector<Buffer>* buffers;

}  // namespace emulation
