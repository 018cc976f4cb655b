// Products of a warpgroup: wgmma. Its threads issue them together and go on; the operands are read,
// early, at once or, late, when they wait. Until then their sums hold marks.
#pragma once

#include <cstdint>
#include <vector>

#include "warpgroup.h"

namespace emulation {

// Enters the running thread into a product, which the first to come makes. `a_registers`: four
// words, or null where A lies in shared memory.
Product& begin_product(const ProductShape& shape, float* sums, uint64_t a,
                       const uint32_t* a_registers, uint64_t b, const char* instruction,
                       const Site& at);
// The threads meet; the product is computed if it is `ready`: its operands have been read.
void issue_product(bool ready, const Site& at);

void fence_products(const Site& at);
void commit_products(const Site& at);

// Those that must be done while `pending` groups may be under way, their operands not yet read.
std::vector<Product*> products_to_read(uint64_t pending);
// The threads meet behind reading: sums with no products under way get their values.
void finish_products(uint64_t pending, const Site& at);

// Which pieces of the operands a thread reads: those from its own place on, every kGroupThreads'th.
// One that somebody has stored unfenced is an error, but in A null, for a NaN: rows of A that
// nobody stores the sums of may be anything.
const std::byte* piece_of(const Product& product, uint32_t piece);

}  // namespace emulation
