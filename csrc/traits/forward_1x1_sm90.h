// What forward_1x1_sm90 is made of. A block has a warpgroup that loads and two that multiply, 64
// quads x 32 or 64 columns of each octave at a time: the columns of different quads, or different
// columns of the same quads. Plain C++: the host plans with it.
#pragma once

#include <cstdint>

#include "params/forward_sm90.h"
#include "traits/forward_sm90.h"

namespace octconv {

constexpr int kJointThreads = 384, kJointRows = 64;  // quads of a warpgroup

// Of a map in quads: the pixels 2Y + dy, 2X + dx are those of phase 2 dy + dx of the high part; the
// low part comes last.
constexpr int kPlanes = 5, kLowPlane = 4;
constexpr Octave octave_of(int plane) { return plane == kLowPlane ? kLow : kHigh; }

// Registers of a thread that loads, and of one that multiplies, out of those of the launch.
constexpr int kJointLoaderRegisters = 40, kJointMultiplierRegisters = 232, kJointRegisters = 168;
static_assert(kJointLoaderRegisters + 2 * kJointMultiplierRegisters <= 3 * kJointRegisters);

// Blocks of a cluster that share the weight, if any do, and a bit for each by rank.
constexpr int32_t kSharers = 2;
constexpr uint32_t kAllSharers = (1u << kSharers) - 1;

// Of a block's sums of four phases and the low pixels, in bytes.
constexpr int32_t joint_sums_bytes(int32_t columns) {
  return 2 * kJointRows * kPlanes * columns * 4;
}

template <typename Element, bool kIsInputGrad, int kOctaveColumns, bool kSplitsColumns>
struct JointSm90Traits {
  using T = Element;
  static constexpr bool kTransposed = kIsInputGrad;  // the weight, as the products take it
  static constexpr int kColumns = kOctaveColumns;    // of each octave, of a warpgroup
  static constexpr int kColumnGroups = kSplitsColumns ? 2 : 1, kRowGroups = 3 - kColumnGroups;

  // In bytes: a box of each group of rows; a chunk of the weight of an octave, and of all; results.
  static constexpr int kGroupBox = kJointRows * kSm90Cell, kBox = kRowGroups * kGroupBox;
  static constexpr int kPart = kColumns * kSm90Cell, kSlot = 2 * kColumnGroups * kPart;
  static constexpr int kStagings = 3, kStaging = kJointRows * kColumns * 2;
  static constexpr int kFixedBytes = 2 * kStagings * kStaging;

  static constexpr int buffer_bytes(int32_t boxes, int32_t slots) {
    return boxes * kBox + slots * kSlot;
  }
  static constexpr int shared_bytes(int32_t boxes, int32_t slots) {
    return kFixedBytes + buffer_bytes(boxes, slots) + 16 * (boxes + slots);
  }
};

template <typename T, bool kIsInputGrad, typename Visit>
void for_each_joint_sm90(const Visit& visit) {
  visit(JointSm90Traits<T, kIsInputGrad, 32, false>());
  visit(JointSm90Traits<T, kIsInputGrad, 64, false>());
  visit(JointSm90Traits<T, kIsInputGrad, 64, true>());
}

}  // namespace octconv
