// Runs the threads of a grid as fibers on one host thread, and lets them meet.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "block.h"
#include "cluster.h"
#include "launch_shape.h"
#include "options.h"

namespace emulation {

class Engine {
 public:
  explicit Engine(const Options& options) : options_(options), random_(options.seed) {}
  ~Engine();

  // Runs all threads of a grid to their end. Throws Failure.
  void run(const octconv::LaunchShape& shape, const std::function<void()>& kernel);

  const Options& options() const { return options_; }
  const octconv::LaunchShape& shape() const { return shape_; }
  Counters counters;
  std::deque<BoxCopy> copies;  // late ones of all resident blocks, under way

 private:
  friend void yield();
  friend void sleep(const char*, const Site&);

  static void thread_main();
  void prepare();
  void start_cluster(Cluster& cluster, uint32_t index);
  void start_block(Block& block, uint32_t index);
  void thread_exits();
  bool land_a_copy();
  void cancel();
  Thread* pick();
  void reschedule();
  void wait(const char* instruction, const Site& at);
  std::string deadlock() const;

  const Options options_;
  std::mt19937_64 random_;
  octconv::LaunchShape shape_{};
  const std::function<void()>* kernel_ = nullptr;
  std::vector<std::unique_ptr<Block>> blocks_;  // the resident ones
  std::vector<Cluster> clusters_;               // of them
  std::vector<Warp*> warps_;                    // of all resident blocks
  size_t warp_turn_ = 0;
  uint32_t lane_turn_ = 0;
  uint64_t switches_ = 0;
  std::unique_ptr<Fiber> main_;
  std::string failure_;
};

// The thread that runs, and the engine that runs it.
extern Thread* self;
extern Engine* engine;

Warpgroup& warpgroup_of(const Thread& thread);

// Ends the run. The text is put behind the thread, the instruction and the place.
[[noreturn]] void fail(const char* instruction, const Site& at, const std::string& text);

// The lanes of a warp meet for an instruction: each gives its argument, the last to come calls
// compute for all.
void meet(const char* instruction, const Site& at, void* argument, void (*compute)(Warp&));

// The same for the threads of a warpgroup.
void meet_warpgroup(const char* instruction, const Site& at, void* argument,
                    void (*compute)(Warpgroup&));

// Threads meet at a barrier, warp by warp; only those with `waits` stay until the last has come.
void meet_at_barrier(uint32_t barrier, uint32_t threads, bool waits, const char* instruction,
                     const Site& at);

// Others may run first.
void yield();

// Others run until one marks the thread ready.
void sleep(const char* instruction, const Site& at);

// bar.warp.sync
void sync_warp(const Site& at);

}  // namespace emulation
