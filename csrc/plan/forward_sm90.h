// How a problem is cut into tiles for forward_sm90, and which blocks take tiles of which octave.
// Plain C++.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "params/forward_1x1_sm90.h"
#include "params/forward_sm90.h"
#include "plan/cache.h"
#include "plan/device_facts.h"
#include "plan/trials.h"
#include "problem.h"

namespace octconv {

struct PlanSm90 : Sm90Cut {
  bool through_registers, pools_ahead;  // high tiles of the high input; low ones
  // Of a kernel of 1x1 taps: items of forward_1x1_sm90, and none of all the above but the blocks.
  JointCut joint;
  int32_t joint_items;
  bool overlaps;        // launches with those before them
  double microseconds;  // predicted
};

// Why forward_sm90 does not cover a problem that why_not_covered lets pass; null if it does.
const char* why_not_sm90(const Problem& problem, ElementType type, const DeviceFacts& device);

// Of problems that are covered.
PlanSm90 plan_forward_sm90(const Problem& problem, ElementType type, const DeviceFacts& device,
                           Trials trials);

// Clocks of the products of 64 rows and a step of 16 channels with so many columns: half a clock
// for each column, or as long as both operands take from shared memory at 128 bytes a clock.
constexpr double product_clocks(int32_t columns) {
  return std::max(columns / 2.0, 16 + columns / 4.0);
}

// Of two things that go on side by side: most of the shorter one is hidden behind the other.
constexpr double side_by_side(double a, double b) {
  constexpr double kHidden = 0.8;  // as fitted
  return std::max(a, b) + (1 - kHidden) * std::min(a, b);
}

// Steps that are multiplied: all chunks in full, but for the last one, that may do with half.
constexpr int32_t steps_of(int32_t channels) { return 2 * divide_up(channels, kSm90Chunk / 2); }

// One line, such as "forward_sm90, 16x8 quads x 64, low 16x16 x 64, 132 blocks, 54 of them for low
// tiles".
std::string to_string(const PlanSm90& plan);

using PlanCacheSm90 = PlanCacheOf<plan_forward_sm90, Trials>;

}  // namespace octconv
