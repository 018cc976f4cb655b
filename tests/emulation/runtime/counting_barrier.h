// Barriers in shared memory that count arrivals and bytes: mbarrier.
#pragma once

#include <cstddef>
#include <cstdint>

#include "options.h"

namespace emulation {

struct Block;

// Of a block's shared memory.
struct Place {
  Block* block;
  uint32_t address;
};
Place own_place(uint32_t address);

// Those below return the memory of the barrier, for the sanitizers to see.
std::byte* init_barrier(uint32_t barrier, uint32_t arrivals, const Site& at);
std::byte* use_barrier(const Place& barrier, const char* instruction, const Site& at);

// What the running thread has initialised is known to copies; what it has stored, to copies and
// products; that it has loaded, to copies.
void fence_barriers();
void fence_shared();

void arrive(const Place& barrier, uint32_t expected_bytes, const char* instruction, const Site& at);
// Sleeps until a phase ends, if the one of this parity has not. Returns whether it has.
bool try_wait(uint32_t barrier, uint32_t parity, const char* instruction, const Site& at);

// Of a copy: that its barrier is known to it, and that bytes of it have come; if it is another
// block's, perhaps before a thread there has said that it expects them.
void check_fenced(const Place& barrier, const char* instruction, const Site& at);
void complete_bytes(const Place& barrier, uint32_t bytes, bool may_be_early,
                    const char* instruction, const Site& at);

}  // namespace emulation
