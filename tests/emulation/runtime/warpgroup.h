// The state of warpgroups: four warps each, whose products go on while their threads do.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <vector>

#include "options.h"
#include "warp.h"

namespace emulation {

constexpr uint32_t kGroupWarps = 4, kGroupThreads = 32 * kGroupWarps, kRows = 64, kDepth = 16;

struct Warp;

struct Piece {
  alignas(16) std::byte bytes[16];
};

// What a product is. Its operands lie by rows, along the dimension that is summed, or across it.
struct ProductShape {
  MatrixType type = MatrixType::kBFloat16;
  uint32_t columns = 0;
  bool a_across = false, b_across = false;
  bool a_in_registers = false;
};

// The sums of all threads of a warpgroup: arrays of their own, which hold marks while products are
// under way.
struct Sums {
  float* of_thread[kGroupThreads];
  uint32_t count;               // of a thread
  uint32_t products = 0;        // under way
  std::vector<float> values{};  // thread by thread: the true ones; of idle sums, what is known
};

// One that its threads have issued and not waited for.
struct Product {
  ProductShape shape;
  uint64_t a, b;  // descriptors
  const char* instruction;
  Site at;
  uint64_t group;
  bool computed = false;
  float* of_thread[kGroupThreads] = {};
  const uint32_t* a_of_thread[kGroupThreads] = {};  // where A is in registers
  Sums* sums = nullptr;
  std::vector<Piece> pieces{};  // the operands, 16 bytes each: those of a first

  uint32_t a_pieces() const { return kRows * 2; }
  void take(uint32_t piece, const void* bytes);  // one of them
  void take_registers();                         // the running thread's
};

struct Warpgroup {
  Warp* warps;
  uint32_t count;  // of warps: four, but for the last group of an odd block
  uint32_t arrived;
  const char* instruction;  // for which they meet
  Site at;

  bool fenced;                   // once, at least
  uint64_t commits;              // groups of products that have ended
  uint64_t first;                // the number of the first product under way
  uint32_t generation;           // of waits
  std::deque<Product> products;  // under way, oldest first
  std::list<Sums> sums;
  std::unique_ptr<char[]> sync_objects;  // thread sanitizer's, by generation
};

}  // namespace emulation
