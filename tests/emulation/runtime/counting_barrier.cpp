#include "counting_barrier.h"

#include <string>

#include "engine.h"
#include "memory.h"
#include "sanitizers.h"

namespace emulation {
namespace {

constexpr uint32_t kBytes = 8, kMostArrivals = (1 << 20) - 1, kMostBytes = (1 << 20) - 1;

CountingBarrier& barrier_at(const Place& place, const char* instruction, const Site& at) {
  const auto found = place.block->counting_barriers.find(place.address);
  if (found == place.block->counting_barriers.end()) {
    fail(instruction, at, "no barrier has been initialised there");
  }
  return found->second;
}

char* object_of(CountingBarrier& barrier, uint32_t phase) {
  return &barrier.sync_objects[phase % 4];
}

// Ends the phase if nothing is missing.
void end_phase(CountingBarrier& barrier) {
  if (barrier.missing != 0 || barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.seen = !barrier.waiting.empty();
  barrier.missing = barrier.arrivals;
  for (const Thread* thread : barrier.waiting) thread->warp->ready |= 1u << thread->lane;
  barrier.waiting.clear();
}

// Bytes that come before they are expected must be expected by the phase's last arrival.
void check_bytes(const CountingBarrier& barrier, const char* instruction, const Site& at) {
  if (barrier.missing != 0 || barrier.bytes >= 0) return;
  fail(instruction, at,
       std::to_string(-barrier.bytes) + " bytes have come that the phase does not expect");
}

bool ended(const CountingBarrier& barrier, uint32_t parity) { return barrier.phase % 2 != parity; }

}  // namespace

Place own_place(uint32_t address) { return {self->block, address}; }

std::byte* init_barrier(uint32_t address, uint32_t arrivals, const Site& at) {
  constexpr const char* kName = "init_barrier";
  const IgnoreAccesses ignore;
  std::byte* memory = shared(address, kBytes, kName, at);
  if (arrivals < 1 || arrivals > kMostArrivals) {
    fail(kName, at, std::to_string(arrivals) + " arrivals");
  }
  auto& barriers = self->block->counting_barriers;
  if (barriers.count(address)) fail(kName, at, "the barrier has been initialised before");
  CountingBarrier& barrier = barriers[address];
  barrier.arrivals = barrier.missing = arrivals;
  barrier.bytes = barrier.phase = 0;
  barrier.initialiser = self;
  barrier.fences = self->barrier_fences;
  piece_at(*self->block, address).holds_barrier = true;
  return memory;
}

std::byte* use_barrier(const Place& place, const char* instruction, const Site& at) {
  const IgnoreAccesses ignore;
  yield();
  barrier_at(place, instruction, at);
  check_aligned(place.address, kBytes, instruction, at);
  return shared_range(*place.block, place.address, kBytes, instruction, at);
}

void fence_barriers() { ++self->barrier_fences; }

void fence_shared() { ++self->proxy_fences; }

void arrive(const Place& place, uint32_t expected_bytes, const char* instruction, const Site& at) {
  CountingBarrier* barrier;
  {
    const IgnoreAccesses ignore;
    barrier = &barrier_at(place, instruction, at);
    // The end of the phase before is lost with this one's, whose last arrival this is.
    if (barrier->phase > 0 && !barrier->seen && barrier->missing == 1) {
      fail(instruction, at, "nobody has waited for the phase before");
    }
    if (barrier->missing == 0) {
      fail(instruction, at,
           "one more than the " + std::to_string(barrier->arrivals) +
               " arrivals of a phase, which still lacks " + std::to_string(barrier->bytes) +
               " bytes");
    }
    if (barrier->bytes + expected_bytes > kMostBytes) {
      fail(instruction, at, std::to_string(barrier->bytes + expected_bytes) + " bytes expected");
    }
  }
  release(object_of(*barrier, barrier->phase));
  const IgnoreAccesses ignore;
  barrier->bytes += expected_bytes;
  --barrier->missing;
  check_bytes(*barrier, instruction, at);
  end_phase(*barrier);
  yield();
}

bool try_wait(uint32_t address, uint32_t parity, const char* instruction, const Site& at) {
  CountingBarrier* barrier;
  {
    const IgnoreAccesses ignore;
    barrier = &barrier_at(own_place(address), instruction, at);
    if (parity > 1) fail(instruction, at, "parity " + std::to_string(parity));
    if (!ended(*barrier, parity)) {
      const uint32_t phase = barrier->phase;
      barrier->waiting.push_back(self);
      sleep(instruction, at);
      if (barrier->phase != phase + 1) {
        fail(instruction, at,
             std::to_string(barrier->phase - phase) +
                 " phases have ended while the thread waited for one");
      }
    }
  }
  if (barrier->phase > 0) acquire(object_of(*barrier, barrier->phase - 1));
  const IgnoreAccesses ignore;
  self->fenced = false;
  const bool has_ended = ended(*barrier, parity);
  if (has_ended) barrier->seen = true;
  return has_ended;
}

void check_fenced(const Place& place, const char* instruction, const Site& at) {
  const CountingBarrier& barrier = barrier_at(place, instruction, at);
  if (barrier.initialiser->barrier_fences == barrier.fences) {
    fail(instruction, at, "its barrier was initialised without a fence_barriers behind it");
  }
}

void complete_bytes(const Place& place, uint32_t bytes, bool may_be_early, const char* instruction,
                    const Site& at) {
  CountingBarrier& barrier = barrier_at(place, instruction, at);
  release(object_of(barrier, barrier.phase));
  const IgnoreAccesses ignore;
  if (!may_be_early && barrier.bytes < bytes) {
    fail(instruction, at,
         "its barrier expects " + std::to_string(barrier.bytes) + " more bytes, and " +
             std::to_string(bytes) + " have come");
  }
  barrier.bytes -= bytes;
  check_bytes(barrier, instruction, at);
  end_phase(barrier);
}

}  // namespace emulation
