// How a problem is cut into tiles for forward_sm90, and which blocks take tiles of which octave.
// Plain C++.
#pragma once

#include <cstdint>
#include <string>

#include "device_facts.h"
#include "forward_sm90_params.h"
#include "plan_cache.h"
#include "problem.h"

namespace octconv {

struct PlanSm90 {
  int32_t geometry;    // of kSm90Geometries
  int32_t columns[2];  // of a tile of either octave
  Sm90Tiles tiles[2];
  int32_t blocks, low_blocks;
  double microseconds;  // predicted
};

// Why forward_sm90 does not cover a problem that why_not_covered lets pass; null if it does.
const char* why_not_sm90(const Problem& problem, ElementType type, const DeviceFacts& device);

// Of problems that are covered.
PlanSm90 plan_forward_sm90(const Problem& problem, ElementType type, const DeviceFacts& device);

// One line, such as "forward_sm90, 16x8 quads x 64, low 16x16 x 64, 132 blocks, 54 of them for low
// tiles".
std::string to_string(const PlanSm90& plan);

using PlanCacheSm90 = PlanCacheOf<PlanSm90, plan_forward_sm90>;

}  // namespace octconv
