// How a run is carried out, what it counted, and how it fails.
#pragma once

#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>

namespace emulation {

using Site = std::source_location;

// Who runs next among the threads that can.
enum class Schedule {
  kOrder,       // lane after lane, warp after warp, block after block
  kShuffle,     // any of them, at random
  kPriorities,  // those of the warp of the highest priority; priorities change at random points
};

struct Options {
  Schedule schedule = Schedule::kOrder;
  bool late = false;  // asynchronous copies land when somebody waits for them, not at once
  uint64_t seed = 0;
  uint32_t resident_blocks = 1;  // that many blocks, or clusters of them, run interleaved
  bool count = true;             // keep the counters of memory accesses
};

// Totals over all launches. A wavefront is one pass through the 32 banks of shared memory.
struct Counters {
  uint64_t launches = 0;
  uint64_t translated = 0;       // of them, of kernels from their PTX
  uint64_t sectors_read = 0;     // of 32 bytes of global memory, asked for by warps
  uint64_t sectors_written = 0;  // likewise
  uint64_t copies = 0;           // cp.async, of warps
  uint64_t ldmatrix = 0;
  uint64_t mma = 0;
  uint64_t ldmatrix_wavefronts = 0;
  uint64_t load_wavefronts = 0;   // of ld.shared
  uint64_t store_wavefronts = 0;  // of st.shared
  uint64_t copy_wavefronts = 0;   // of cp.async
  uint64_t bank_conflicts = 0;    // wavefronts beyond those that the sizes alone need
  uint64_t box_copies = 0;        // by tensor maps
  uint64_t box_bytes = 0;         // that they write to shared memory
  uint64_t cold_maps = 0;         // that blocks use and have not prefetched
  uint64_t box_sectors = 0;       // of 32 bytes of global memory that they read
  uint64_t wgmma = 0;             // counted in products of 64 x 8 x 16
  uint64_t cluster_bytes = 0;     // of shared memory, read through the cluster
};

// A defect of the kernel. The text names the thread, the instruction and the line.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string text_of(const Site& at);  // "gemm.cuh:40"
bool same_text(const char* a, const char* b);
bool same_place(const Site& a, const Site& b);

}  // namespace emulation
