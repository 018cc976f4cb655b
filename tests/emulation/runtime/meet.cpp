// Where threads meet: warps, warpgroups, and those at a barrier.
#include <string>

#include "engine.h"
#include "sanitizers.h"

namespace emulation {
namespace {

// Enters the running lane into its warp's meeting. Returns whether it is the last one.
bool arrive(const char* instruction, const Site& at, void* argument) {
  Warp& warp = *self->warp;
  if (warp.exited) fail(instruction, at, "another lane of the warp has exited");
  if (warp.arrived == 0) {
    warp.instruction = instruction;
    warp.at = at;
  } else if (!same_place(warp.at, at) || !same_text(warp.instruction, instruction)) {
    fail(instruction, at,
         "the warp has diverged: other lanes wait at " + std::string(warp.instruction) + " (" +
             text_of(warp.at) + ")");
  }
  warp.argument[self->lane] = argument;
  warp.arrived |= 1u << self->lane;
  return warp.arrived == warp.all();
}

}  // namespace

void meet(const char* instruction, const Site& at, void* argument, void (*compute)(Warp&)) {
  IgnoreAccesses ignore;
  Warp& warp = *self->warp;
  if (warp.lanes != kLanes) fail(instruction, at, "the warp has fewer than 32 lanes");
  if (!arrive(instruction, at, argument)) return sleep(instruction, at);
  compute(warp);
  warp.arrived = 0;
  warp.ready |= warp.all() & ~(1u << self->lane);
  yield();
}

Warpgroup& warpgroup_of(const Thread& thread) {
  return thread.block->warpgroups[thread.index / kGroupThreads];
}

void meet_warpgroup(const char* instruction, const Site& at, void* argument,
                    void (*compute)(Warpgroup&)) {
  IgnoreAccesses ignore;
  Warp& warp = *self->warp;
  Warpgroup& group = warpgroup_of(*self);
  if (group.count != kGroupWarps) {
    fail(instruction, at, "the warpgroup has fewer than four warps");
  }
  if (!arrive(instruction, at, argument)) return sleep(instruction, at);
  warp.arrived = 0;
  if (group.arrived == 0) {
    group.instruction = instruction;
    group.at = at;
  } else if (!same_place(group.at, at) || !same_text(group.instruction, instruction)) {
    fail(instruction, at,
         "the warpgroup has diverged: other warps wait at " + std::string(group.instruction) +
             " (" + text_of(group.at) + ")");
  }
  if (++group.arrived < kGroupWarps) return sleep(instruction, at);
  compute(group);
  group.arrived = 0;
  for (uint32_t i = 0; i < kGroupWarps; ++i) group.warps[i].ready |= group.warps[i].all();
  warp.ready &= ~(1u << self->lane);
  yield();
}

void sync_warp(const Site& at) {
  char* object = &self->warp->sync_objects[self->warp->generation % 2];
  release(object);
  meet("sync_warp", at, nullptr, [](Warp& warp) { ++warp.generation; });
  acquire(object);
  self->fenced = false;
}

void meet_at_barrier(uint32_t number, uint32_t threads, bool waits, const char* instruction,
                     const Site& at) {
  Barrier& barrier = self->block->barriers[number];
  char* object = &barrier.sync_objects[barrier.generation % 4];
  release(object);
  {
    IgnoreAccesses ignore;
    Warp& warp = *self->warp;
    if (!arrive(instruction, at, nullptr)) {
      sleep(instruction, at);
    } else {
      warp.arrived = 0;
      if (barrier.arrived != 0 && barrier.expected != threads) {
        fail(instruction, at,
             "barrier " + std::to_string(number) + " for " + std::to_string(threads) +
                 " threads; others came for " + std::to_string(barrier.expected));
      }
      barrier.expected = threads;
      barrier.arrived += kLanes;
      if (barrier.arrived > threads) {
        fail(instruction, at, "more threads than the " + std::to_string(threads) + " expected");
      }
      if (waits) barrier.waiting.push_back(&warp);
      const bool complete = barrier.arrived == threads;
      if (complete) {
        for (Warp* waiting : barrier.waiting) waiting->ready |= waiting->all();
        barrier.waiting.clear();
        barrier.arrived = 0;
        ++barrier.generation;
      }
      if (!waits) warp.ready |= warp.all();
      if (waits && !complete) {
        sleep(instruction, at);
      } else {
        warp.ready &= ~(1u << self->lane);
        yield();
      }
    }
  }
  if (!waits) return;
  acquire(object);
  self->fenced = false;
}

}  // namespace emulation
