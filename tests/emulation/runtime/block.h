// The state of threads, warps and blocks while a kernel runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fiber.h"
#include "options.h"
#include "tensor_copy.h"
#include "warpgroup.h"

namespace emulation {

constexpr uint32_t kLanes = 32;
constexpr uint32_t kBarriers = 16;

struct Block;
struct Cluster;

// One cp.async that has not landed yet.
struct Copy {
  void* target;
  const void* source;
  uint32_t source_bytes;
  uint32_t group;  // the group of its thread that it belongs to
};

// Registers of A, and what they held at the thread's last fence_products.
struct Fragment {
  const uint32_t* registers;
  uint32_t words[4];
};

struct Thread {
  std::unique_ptr<Fiber> fiber;
  Block* block;
  Warp* warp;
  uint32_t index, lane;
  uint32_t x, y;
  const char* waits_for;  // null while it can run
  Site at;

  std::deque<Copy> copies;     // oldest first
  uint32_t group;              // the one that the next copy joins
  uint32_t shared_buffers;     // how many it has taken
  bool waited;                 // for the launches that its own may overlap with
  bool fenced;                 // a fence, no barrier and no write since: a relaxed atomic releases
  std::vector<void*> atomics;  // what it touched by relaxed atomics since its last fence
  uint32_t proxy_fences;       // how many it has passed, of its writes to shared memory
  uint32_t barrier_fences;     // and of the barriers that it initialised
  uint64_t products;           // how many it has issued
  std::vector<Fragment> fragments;  // of A, that they took from its registers
  std::deque<BoxCopy> stores;       // of boxes, that have not read what they store; oldest first
  uint32_t store_group;             // the one that the next store joins
  std::unordered_map<uint64_t, uint32_t> accesses;  // how often it ran each access, by place
};

// What the lanes of a warp did in one execution of one access to memory.
struct WarpAccess {
  uint32_t lanes = 0;                           // a bit for each that has come
  uint32_t global_bytes = 0, shared_bytes = 0;  // of one lane; 0: no such access
  bool write_global = false;
  uint64_t* wavefronts = nullptr;
  uint64_t global[kLanes];
  uint32_t shared[kLanes];
};

// Lanes that met for an instruction of the whole warp.
struct Warp {
  Thread* threads;
  uint32_t lanes;  // how many there are: 32, but for the last warp of an odd block
  uint32_t ready;  // a bit for each lane that can run
  uint32_t exited;
  uint32_t arrived;
  const char* instruction;
  Site at;
  void* argument[kLanes];
  uint64_t priority;
  uint32_t generation;                                // of sync_warp
  uint32_t cluster_arrivals, cluster_waits;           // at the barrier of the cluster
  std::unique_ptr<char[]> sync_objects;               // thread sanitizer's, by generation
  std::unordered_map<uint64_t, WarpAccess> accesses;  // begun, by place and how often before

  uint32_t all() const { return lanes == kLanes ? ~0u : (1u << lanes) - 1; }
};

struct Barrier {
  uint32_t expected, arrived;  // threads
  uint32_t generation;
  std::vector<Warp*> waiting;
  // Thread sanitizer's, by generation. New for each block, which comes after no other.
  std::unique_ptr<char[]> sync_objects = std::make_unique<char[]>(4);
};

// A barrier in shared memory, and what is missing of its current phase.
struct CountingBarrier {
  uint32_t arrivals;  // that each phase takes
  uint32_t missing;   // arrivals
  int64_t bytes;      // that are expected and have not come
  uint32_t phase;     // how many have ended
  bool seen;          // by a thread that waits, the end of the last one
  Thread* initialiser;
  uint32_t fences;  // of barriers, that the initialiser had passed
  std::vector<Thread*> waiting;
  // Thread sanitizer's, by phase.
  std::unique_ptr<char[]> sync_objects = std::make_unique<char[]>(4);
};

struct SharedBuffer {
  uint32_t address, bytes;
};

// Who has last used 16 bytes of shared memory by ordinary stores or loads, and has not yet passed a
// proxy fence if it has passed no more than it had then.
struct LastUse {
  const Thread* thread;
  uint32_t fences;
};

struct SharedPiece {
  LastUse store, load;
  bool holds_barrier;
};

struct Block {
  Cluster* cluster;
  uint32_t cluster_phases;  // that must end before the block does: others read its shared memory
  uint32_t index;
  uint32_t running;  // threads that have not exited; 0: the place is free
  std::vector<Warp> warps;
  std::vector<Thread> threads;
  std::vector<Warpgroup> warpgroups;
  Barrier barriers[kBarriers];
  std::map<uint32_t, CountingBarrier> counting_barriers;  // by address
  std::unordered_set<std::string> maps;                   // prefetched, or used
  std::byte* shared;                                      // the arena
  // Of its first byte: in a cluster the rank is in the upper 8 bits.
  uint32_t first_address;
  std::vector<SharedBuffer> buffers;
  std::vector<SharedPiece> pieces;  // of the arena
  uint32_t shared_taken;
};

}  // namespace emulation
