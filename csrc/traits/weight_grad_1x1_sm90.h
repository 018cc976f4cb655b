// What weight_grad_1x1_sm90 is made of. A tile is the same rectangle of all four blocks of the
// weight, and a block of threads sums it up over boxes of 32 quads. A cell is 64 channels of a
// pixel, and a plane the cells of a box that are pixels of one phase, or low ones. A stage of
// shared memory has, of each box,
//   dy  (four phases and the low pixels, cells of the rows) planes
//   x   likewise                        (cells of the columns)
// Two warpgroups multiply. The 64 rows of a product are 32 channels of the high x and 32 of the low
// x, a group, and its columns are the tile's rows. In registers they have
//   sums  (with the high dy or with the low one, groups, columns of a product / 2)
// A third warpgroup copies, and sums up dy. Plain C++: the host plans with it.
#pragma once

#include "traits/forward_1x1_sm90.h"
#include "traits/weight_grad_sm90.h"

namespace octconv {

constexpr int kJointGradThreads = 384, kJointGradMultipliers = 2;  // warpgroups
constexpr int kJointGradQuads = 32, kJointGradGroup = 32;
constexpr int kPlaneBytes = kJointGradQuads * kSm90Cell;

// Registers of a thread that loads, and of one that multiplies, out of those of the launch.
constexpr int kJointGradLoaderRegisters = 88, kJointGradMultiplierRegisters = 208;
constexpr int kJointGradRegisters = 168;
static_assert(kJointGradLoaderRegisters + 2 * kJointGradMultiplierRegisters <=
              3 * kJointGradRegisters);

template <typename Element, int kTileRows, int kGroupsOfWarpgroup>
struct JointGradSm90Traits {
  using T = Element;
  static_assert(sizeof(T) == 2);
  static constexpr int kRows = kTileRows, kGroups = kGroupsOfWarpgroup;
  static constexpr int kColumns = kJointGradMultipliers * kGroups * kJointGradGroup;
  static constexpr int kSums = kRows / 2;  // of a thread, octave of dy and group

  static constexpr int kCell = kSm90Cell, kChunks = kCell / 16;  // bytes; 16 of them each
  static constexpr int kRowCells = kRows / kSm90Chunk, kColumnCells = kColumns / kSm90Chunk;
  static constexpr int kXOffset = kPlanes * kRowCells * kPlaneBytes;
  static constexpr int kStage = kXOffset + kPlanes * kColumnCells * kPlaneBytes;
  // Behind the stages: of each two barriers, and of both octaves eight sums of each helper.
  static constexpr int kHelperSums = kGradSm90Helpers * 8 * 4;
  static constexpr int kStages = (kSm90BlockBytes - 2 * kHelperSums) / (kStage + 16);
  static constexpr int kSharedBytes = kStages * (kStage + 16) + 2 * kHelperSums;
};

// Calls visit(JointGradSm90Traits<...>()) for each instantiation of an element type.
template <typename T, typename Visit>
void for_each_joint_grad_sm90(const Visit& visit) {
  visit(JointGradSm90Traits<T, 128, 1>());
  visit(JointGradSm90Traits<T, 64, 2>());
}

}  // namespace octconv
