// The tiles of weight_grad_1x1_sm80. A tile is the same rectangle of all four blocks of the weight,
// so that each pixel is read once for all of them. What a block holds in each stage, of kQuads
// quads:
//   dy  of the high rows (quads, phases, kRows), and of the low ones (quads, kRows)
//   x   likewise                 (kColumns)
// and each warp, in registers:
//   sums  (rows high or low, columns high or low, m16 tiles, n8 tiles, 4)
// Plain C++: the host plans with what the kernel is made of.
#pragma once

#include <cstdint>

#include "traits/weight_grad_sm80.h"

namespace octconv {

// The stages of a block are as many as its shared memory holds, within these bounds.
constexpr int32_t kLeastGradStages = 2, kMostGradStages = 4;

// kWarpsM x kWarpsN warps share the rows and columns of a tile, kGroups of those the steps.
template <typename Element, int kWarpsOfRows, int kWarpsOfColumns, int kWarpGroups>
struct JointGradTraits {
  using T = Element;
  static_assert(sizeof(T) == 2);                 // other types have no transposing load
  static constexpr int kTaps = 2, kTapRows = 2;  // in their place: the parts of columns and of rows
  static constexpr int kTilesM = 2, kTilesN = 4;  // of a warp
  static constexpr int kWarpsM = kWarpsOfRows, kWarpsN = kWarpsOfColumns, kGroups = kWarpGroups;
  static constexpr int kWarps = kWarpsM * kWarpsN * kGroups, kThreads = 32 * kWarps;
  static constexpr int kRows = 16 * kTilesM * kWarpsM, kColumns = 8 * kTilesN * kWarpsN;
  static constexpr int kWarpSums = 4 * kTilesM * kTilesN * 4;  // of a thread

  static constexpr int kStepQuads = 16;  // of the low maps an operand's 16 pixels
  static constexpr int kQuads = 32;
  static constexpr int kStages = kLeastGradStages;  // at least
  static_assert(kQuads % (kGroups * kStepQuads) == 0);
  // ldmatrix wants pitches 4 banks off a multiple of all banks.
  static constexpr int kDyPitch = kRows * sizeof(T) + 16, kXPitch = kColumns * sizeof(T) + 16;
  static constexpr int kDyLow = 4 * kQuads * kDyPitch;  // bytes from a stage's begin
  static constexpr int kXHigh = kDyLow + kQuads * kDyPitch;
  static constexpr int kXLow = kXHigh + 4 * kQuads * kXPitch;
  static constexpr int kStageBytes = kXLow + kQuads * kXPitch;

  static constexpr int kGroupBytes = kWarpSums * kThreads / kGroups * sizeof(float);
  static constexpr int kBiasBytes = kRows * kWarpsN * kGroups * sizeof(float);
  static constexpr int kEndBytes =
      kGroups / 2 * kGroupBytes > kBiasBytes ? kGroups / 2 * kGroupBytes : kBiasBytes;
};

// The same as numbers. `of_tiles` is as of a kernel with one tap.
struct JointGradLimits {
  WeightGradLimits of_tiles;
  int32_t quads, stage_bytes;
};

template <typename Traits>
constexpr JointGradLimits limits_of_joint_grad(const char* name) {
  WeightGradLimits tiles = limits_of_grad<Traits>(name, 1);
  tiles.tap_rows = 1;
  return {tiles, Traits::kQuads, Traits::kStageBytes};
}

// As for_each_weight_grad.
template <typename T, typename Visit>
void for_each_joint_grad(const Visit& visit) {
  if constexpr (sizeof(T) == 2) {
    visit(JointGradTraits<T, 4, 2, 1>(), "joint128x64");
    visit(JointGradTraits<T, 2, 4, 1>(), "joint64x128");
    visit(JointGradTraits<T, 4, 1, 2>(), "joint128x32");
    visit(JointGradTraits<T, 1, 4, 2>(), "joint32x128");
  }
}

}  // namespace octconv
