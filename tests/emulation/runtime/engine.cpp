#include "engine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <sstream>

#include "memory.h"
#include "sanitizers.h"

namespace emulation {

Thread* self = nullptr;
Engine* engine = nullptr;

namespace {

// For the registers of translated kernels, up to 250 KB, and for address sanitizer's red zones.
constexpr size_t kStackBytes = 512 << 10;
// Far more than any test needs: a kernel that spins for what never comes.
constexpr uint64_t kMostSwitches = uint64_t{1} << 31;

// What a thread waits for that has ended.
constexpr const char* kNothing = "nothing: it has exited";

// Thrown where a thread waits when another one has failed.
struct Cancelled {};

std::string name_of(const Thread& thread) {
  return "block " + std::to_string(thread.block->index) + ", thread " +
         std::to_string(thread.index) + " (warp " + std::to_string(thread.index / kLanes) +
         ", lane " + std::to_string(thread.lane) + ")";
}

}  // namespace

bool same_text(const char* a, const char* b) { return a == b || std::strcmp(a, b) == 0; }

bool same_place(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         same_text(a.file_name(), b.file_name());
}

std::string text_of(const Site& at) {
  const std::string file = at.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(at.line());
}

void fail(const char* instruction, const Site& at, const std::string& text) {
  throw Failure(name_of(*self) + ": " + instruction + " at " + text_of(at) + ": " + text);
}

Engine::~Engine() {
  for (auto& block : blocks_) free_shared_arena(block->shared);
}

// Makes the resident blocks, which the launches of one shape share.
void Engine::prepare() {
  const uint32_t threads = shape_.threads_x * shape_.threads_y;
  const uint32_t clusters = std::min(options_.resident_blocks, shape_.blocks / shape_.cluster);
  const uint32_t count = clusters * shape_.cluster;
  if (blocks_.size() != count || blocks_.front()->threads.size() != threads) {
    for (auto& block : blocks_) free_shared_arena(block->shared);
    blocks_.clear();
    for (uint32_t i = 0; i < count; ++i) {
      auto block = std::make_unique<Block>();
      block->threads.resize(threads);
      block->warps.resize((threads + kLanes - 1) / kLanes);
      block->warpgroups.resize((block->warps.size() + kGroupWarps - 1) / kGroupWarps);
      for (Thread& thread : block->threads) {
        thread.fiber = std::make_unique<Fiber>(&Engine::thread_main, kStackBytes);
      }
      block->shared = new_shared_arena();
      blocks_.push_back(std::move(block));
    }
  }
  clusters_.clear();
  clusters_.resize(clusters);
  warps_.clear();
  copies.clear();
  for (uint32_t i = 0; i < count; ++i) {
    Block& block = *blocks_[i];
    block.cluster = &clusters_[i / shape_.cluster];
    block.cluster->blocks.push_back(&block);
    block.running = 0;
    for (Warp& warp : block.warps) {
      warp.ready = 0;
      warps_.push_back(&warp);
    }
  }
}

void Engine::start_cluster(Cluster& cluster, uint32_t index) {
  cluster.running = 0;
  cluster.arrived = cluster.phases = 0;
  cluster.sync_objects = std::make_unique<char[]>(2);
  for (uint32_t rank = 0; rank < shape_.cluster; ++rank) {
    cluster.blocks[rank]->first_address = kSharedBase | rank << kRankShift;
    start_block(*cluster.blocks[rank], index * shape_.cluster + rank);
    cluster.running += cluster.blocks[rank]->running;
  }
}

void Engine::start_block(Block& block, uint32_t index) {
  block.index = index;
  block.running = block.threads.size();
  block.cluster_phases = 0;
  block.buffers.clear();
  block.shared_taken = 0;
  clear_shared_arena(block);
  for (Barrier& barrier : block.barriers) barrier = {};
  block.counting_barriers.clear();
  block.maps.clear();
  for (size_t w = 0; w < block.warps.size(); ++w) {
    Warp& warp = block.warps[w];
    warp.threads = &block.threads[w * kLanes];
    warp.lanes = std::min<size_t>(kLanes, block.threads.size() - w * kLanes);
    warp.ready = warp.all();
    warp.exited = warp.arrived = warp.generation = 0;
    warp.cluster_arrivals = warp.cluster_waits = 0;
    warp.sync_objects = std::make_unique<char[]>(2);
    warp.priority = random_();
    warp.accesses.clear();
  }
  for (size_t i = 0; i < block.warpgroups.size(); ++i) {
    Warpgroup& group = block.warpgroups[i] = {};
    group.warps = &block.warps[i * kGroupWarps];
    group.count = std::min<size_t>(kGroupWarps, block.warps.size() - i * kGroupWarps);
    group.sync_objects = std::make_unique<char[]>(2);
  }
  for (uint32_t i = 0; i < block.threads.size(); ++i) {
    Thread& thread = block.threads[i];
    thread.fiber->restart();
    thread.block = &block;
    thread.warp = &block.warps[i / kLanes];
    thread.index = i;
    thread.lane = i % kLanes;
    thread.x = i % shape_.threads_x;
    thread.y = i / shape_.threads_x;
    thread.waits_for = nullptr;
    thread.copies.clear();
    thread.group = thread.shared_buffers = 0;
    thread.waited = thread.fenced = false;
    thread.atomics.clear();
    thread.proxy_fences = thread.barrier_fences = 0;
    thread.products = 0;
    thread.stores.clear();
    thread.store_group = 0;
    thread.accesses.clear();
  }
}

void Engine::run(const octconv::LaunchShape& shape, const std::function<void()>& kernel) {
  const uint32_t threads = shape.threads_x * shape.threads_y;
  if (shape.blocks == 0 || threads == 0 || threads > 1024) {
    throw Failure("launch of " + std::to_string(shape.blocks) + " blocks of " +
                  std::to_string(threads) + " threads");
  }
  if (shape.cluster == 0 || shape.cluster > kMostClusterBlocks ||
      shape.blocks % shape.cluster != 0) {
    throw Failure("launch of " + std::to_string(shape.blocks) + " blocks in clusters of " +
                  std::to_string(shape.cluster));
  }
  if (shape.shared_bytes > kMostSharedBytes) {
    throw Failure("launch with " + std::to_string(shape.shared_bytes) +
                  " bytes of shared memory; no GPU has so much");
  }
  shape_ = shape;
  kernel_ = &kernel;
  failure_.clear();
  ++counters.launches;
  prepare();

  std::vector<uint32_t> order(shape.blocks / shape.cluster);
  std::iota(order.begin(), order.end(), 0);
  if (options_.schedule != Schedule::kOrder) std::shuffle(order.begin(), order.end(), random_);

  main_ = std::make_unique<Fiber>();
  engine = this;
  auto next = order.begin();
  while (failure_.empty()) {
    for (Cluster& cluster : clusters_) {
      if (cluster.running == 0 && next != order.end()) start_cluster(cluster, *next++);
    }
    self = pick();
    if (self) {
      self->fiber->switch_from(*main_);
      continue;
    }
    if (land_a_copy()) continue;
    const bool done = std::all_of(clusters_.begin(), clusters_.end(),
                                  [](const Cluster& cluster) { return cluster.running == 0; });
    if (done) break;
    failure_ = deadlock();
  }
  if (!failure_.empty()) cancel();
  self = nullptr;
  engine = nullptr;
  acquire(this);  // what the threads did comes before what the host does next
  if (!failure_.empty()) throw Failure(failure_);
}

// One of the copies under way, when no thread can run. Returns whether there was one.
bool Engine::land_a_copy() {
  if (copies.empty()) return false;
  const size_t chosen = options_.schedule == Schedule::kOrder ? 0 : random_() % copies.size();
  const BoxCopy copy = copies[chosen];
  copies.erase(copies.begin() + chosen);
  self = copy.thread;  // to be named by reports
  acquire(this);
  try {
    copy.land(copy);
  } catch (const Failure& error) {
    failure_ = error.what();
  }
  return true;
}

void Engine::thread_main() {
  try {
    if (!engine->failure_.empty()) throw Cancelled();
    (*engine->kernel_)();
    IgnoreAccesses ignore;
    engine->thread_exits();
  } catch (const Cancelled&) {
  } catch (const std::exception& error) {
    engine->failure_ = error.what();
    self->waits_for = kNothing;
  }
  release(engine);
  engine->main_->switch_from(*self->fiber);
}

void Engine::thread_exits() {
  Warp& warp = *self->warp;
  if (warp.arrived != 0) {
    fail("exit", Site::current(),
         "other lanes wait at " + std::string(warp.instruction) + " (" + text_of(warp.at) + ")");
  }
  if (self->block->barriers[0].arrived != 0) {
    fail("exit", Site::current(), "other threads wait at sync_block");
  }
  if (!warpgroup_of(*self).products.empty()) {
    const Product& product = warpgroup_of(*self).products.front();
    fail("exit", Site::current(),
         "products are under way (" + std::string(product.instruction) + " at " +
             text_of(product.at) + ")");
  }
  if (!self->stores.empty()) {
    fail("exit", Site::current(),
         "a store is under way (store_box at " + text_of(self->stores.front().at) + ")");
  }
  leave_cluster();
  warp.exited |= 1u << self->lane;
  self->waits_for = kNothing;
  if (--self->block->running != 0) return;
  for (const BoxCopy& copy : copies) {
    if (copy.shared.block == self->block) {
      fail("exit", Site::current(),
           "a copy is under way (" + std::string(copy.instruction) + " at " + text_of(copy.at) +
               ")");
    }
  }
  for (const auto& [address, barrier] : self->block->counting_barriers) {
    if (barrier.missing == barrier.arrivals && barrier.bytes == 0) continue;
    fail("exit", Site::current(),
         "a barrier of " + std::to_string(barrier.arrivals) + " arrivals lacks " +
             std::to_string(barrier.missing) + " of its last phase");
  }
  count_open_accesses(*self->block, counters);
}

// After a failure: ends the threads that have not, so that they give up whatever they hold.
void Engine::cancel() {
  for (auto& block : blocks_) {
    if (block->running == 0) continue;
    for (Thread& thread : block->threads) {
      if (thread.waits_for == kNothing) continue;
      self = &thread;
      thread.fiber->switch_from(*main_);
    }
  }
}

// The thread that runs next, its lane no longer marked ready; null if none can.
Thread* Engine::pick() {
  if (++switches_ > kMostSwitches) {
    throw Failure("no end after " + std::to_string(switches_) + " switches: does a thread spin?");
  }
  size_t chosen = warps_.size();
  if (options_.schedule == Schedule::kOrder) {
    for (size_t i = 0; i < warps_.size() && chosen == warps_.size(); ++i) {
      const size_t w = (warp_turn_ + i) % warps_.size();
      if (warps_[w]->ready) chosen = w;
    }
  } else if (options_.schedule == Schedule::kShuffle) {
    size_t seen = 0;
    for (size_t w = 0; w < warps_.size(); ++w) {
      if (warps_[w]->ready && random_() % ++seen == 0) chosen = w;
    }
  } else {
    if (random_() % 64 == 0) warps_[random_() % warps_.size()]->priority = random_();
    for (size_t w = 0; w < warps_.size(); ++w) {
      if (warps_[w]->ready &&
          (chosen == warps_.size() || warps_[w]->priority > warps_[chosen]->priority)) {
        chosen = w;
      }
    }
  }
  if (chosen == warps_.size()) return nullptr;

  Warp& warp = *warps_[chosen];
  const uint32_t first = options_.schedule == Schedule::kOrder
                             ? (chosen == warp_turn_ ? lane_turn_ : 0)
                             : random_() % kLanes;
  const uint32_t lane = (std::countr_zero(std::rotr(warp.ready, first)) + first) % kLanes;
  warp_turn_ = chosen;
  lane_turn_ = (lane + 1) % kLanes;
  warp.ready &= ~(1u << lane);
  warp.threads[lane].waits_for = nullptr;
  return &warp.threads[lane];
}

// Hands over to whoever is picked; the caller has marked the running thread ready or waiting.
void Engine::reschedule() {
  Thread* from = self;
  Thread* to = pick();
  if (to == from) return;
  if (to) {
    self = to;
    to->fiber->switch_from(*from->fiber);
  } else {
    main_->switch_from(*from->fiber);
  }
  if (!failure_.empty()) throw Cancelled();
}

void Engine::wait(const char* instruction, const Site& at) {
  self->waits_for = instruction;
  self->at = at;
  reschedule();
}

void yield() {
  if (engine->options_.schedule == Schedule::kOrder) return;
  self->warp->ready |= 1u << self->lane;
  engine->reschedule();
}

void sleep(const char* instruction, const Site& at) { engine->wait(instruction, at); }

// Who waits where, threads of one place together.
std::string Engine::deadlock() const {
  std::ostringstream text;
  text << "deadlock:";
  for (const auto& block : blocks_) {
    if (block->running == 0) continue;
    const auto& threads = block->threads;
    const auto alike = [&](const Thread& a, const Thread& b) {
      return same_text(a.waits_for, b.waits_for) && same_place(a.at, b.at);
    };
    for (size_t first = 0, end; first < threads.size(); first = end) {
      for (end = first; end < threads.size() && alike(threads[first], threads[end]);) ++end;
      if (threads[first].warp->exited & 1u << threads[first].lane) continue;
      text << " block " << block->index << ", threads " << first << " to " << end - 1 << " wait at "
           << threads[first].waits_for << " (" << text_of(threads[first].at) << ");";
    }
  }
  return text.str();
}

}  // namespace emulation
