// The tiles of the portable weight gradient. What a block holds of a pixel tile, in each stage:
//   dy  (pixels, kRows), and zeros up to whole steps
//   x   rows of cells with their halo    (rows, cells, kColumns)
// and each warp, in registers, for all its taps:
//   sums  (tap rows, taps, m16 tiles, n8 tiles, 4)
// Plain C++: the host plans with what the kernels are made of.
#pragma once

#include <cstdint>

#include "dtype.h"

namespace octconv {

// kWarpsM x kWarpsN warps share the rows and columns of a tile, kGroups of those the steps of 32
// pixels of each pixel tile. Many taps come one row to a tile, and one kernel serves 5x5 and 7x7.
template <int kMostTaps>
struct WideGrad;
template <>
struct WideGrad<1> {  // 128 x 128
  static constexpr int kTilesM = 4, kTilesN = 8, kWarpsM = 2, kWarpsN = 2, kGroups = 2;
};
template <>
struct WideGrad<3> {  // 64 x 64, 0.94 wavefronts to an mma
  static constexpr int kTilesM = 4, kTilesN = 1, kWarpsM = 1, kWarpsN = 8, kGroups = 1;
};
template <int kMostTaps>
struct NarrowGrad {  // 64 x 32
  static constexpr int kTilesM = 4, kTilesN = 1, kWarpsM = 1, kWarpsN = 4, kGroups = 2;
};
template <>
struct NarrowGrad<1> {  // 64 x 64
  static constexpr int kTilesM = 4, kTilesN = 4, kWarpsM = 1, kWarpsN = 2, kGroups = 4;
};
template <>
struct NarrowGrad<3> {  // 32 x 32
  static constexpr int kTilesM = 2, kTilesN = 2, kWarpsM = 1, kWarpsN = 2, kGroups = 4;
};
template <typename Element, int kTapsAtMost, template <int> typename TilesOf>
struct WeightGradTraits {
  using T = Element;
  using Tiles = TilesOf<kTapsAtMost>;
  static constexpr int kMostTaps = kTapsAtMost;
  static constexpr int kLeastTaps = kMostTaps > 3 ? kMostTaps - 2 : kMostTaps;
  static constexpr bool has_taps(int32_t taps) { return taps == kLeastTaps || taps == kMostTaps; }
  static constexpr int kTaps = kMostTaps;                          // that there are sums of
  static constexpr int kTapRows = kMostTaps <= 3 ? kMostTaps : 1;  // of a tile
  // How far the rows of a tile's taps reach, and the rows of zeros between two images.
  static constexpr int kReach = kTapRows > 1 ? kTaps / 2 : 0;

  static constexpr int kTilesM = Tiles::kTilesM, kTilesN = Tiles::kTilesN;  // of a warp
  static constexpr int kWarpsM = Tiles::kWarpsM, kWarpsN = Tiles::kWarpsN;
  static constexpr int kGroups = Tiles::kGroups;
  static constexpr int kWarps = kWarpsM * kWarpsN * kGroups, kThreads = 32 * kWarps;
  static constexpr int kRows = 16 * kTilesM * kWarpsM, kColumns = 8 * kTilesN * kWarpsN;
  static constexpr int kWarpSums = kTapRows * kTaps * kTilesM * kTilesN * 4;  // of a thread

  static constexpr int kStepPixels = 32;                  // one for each lane
  static constexpr int kStages = kMostTaps == 1 ? 3 : 2;  // few products hide less of a load
  // ldmatrix wants pitches 4 banks off a multiple of all banks; loads of single words, 8.
  static constexpr int kGap = sizeof(T) == 2 ? 16 : 32;
  static constexpr int kDyPitch = kRows * sizeof(T) + kGap;
  static constexpr int kXPitch = kColumns * sizeof(T) + kGap;
  // What comes after the last pixel: half of the groups hand their sums to the others, and all
  // warps of a row theirs of dy.
  static constexpr int kGroupBytes = kWarpSums * kThreads / kGroups * sizeof(float);
  static constexpr int kBiasBytes = kRows * kWarpsN * kGroups * sizeof(float);
  static constexpr int kEndBytes =
      kGroups / 2 * kGroupBytes > kBiasBytes ? kGroups / 2 * kGroupBytes : kBiasBytes;
};

// The same as numbers, for plans and parameters.
struct WeightGradLimits {
  const char* name;
  int32_t threads;
  int32_t rows, columns, taps, tap_rows;  // of a tile
  int32_t tiles_m, tiles_n, warps_m, warps_n, groups;
  int32_t stages, element_bytes, dy_pitch, x_pitch, end_bytes;

  constexpr int32_t padding() const { return taps / 2; }
  constexpr int32_t reach() const { return tap_rows > 1 ? padding() : 0; }
};

template <typename Traits>
constexpr WeightGradLimits limits_of_grad(const char* name, int32_t taps) {
  return {name,
          Traits::kThreads,
          Traits::kRows,
          Traits::kColumns,
          taps,
          Traits::kTapRows,
          Traits::kTilesM,
          Traits::kTilesN,
          Traits::kWarpsM,
          Traits::kWarpsN,
          Traits::kGroups,
          Traits::kStages,
          sizeof(typename Traits::T),
          Traits::kDyPitch,
          Traits::kXPitch,
          Traits::kEndBytes};
}

// Calls visit(WeightGradTraits<...>(), name) for each instantiation of an element type that has
// windows of so many taps. Launchers, plans and the emulation all walk this list.
template <typename T, typename Visit>
void for_each_weight_grad(int32_t taps, const Visit& visit) {
  const auto visit_if = [&](auto traits, const char* name) {
    if (decltype(traits)::has_taps(taps)) visit(traits, name);
  };
  visit_if(WeightGradTraits<T, 1, NarrowGrad>(), "narrow");
  visit_if(WeightGradTraits<T, 3, NarrowGrad>(), "narrow");
  visit_if(WeightGradTraits<T, 7, NarrowGrad>(), "narrow");
  if constexpr (sizeof(T) == 2) {
    visit_if(WeightGradTraits<T, 1, WideGrad>(), "wide");
    visit_if(WeightGradTraits<T, 3, WideGrad>(), "wide");
  }
}

}  // namespace octconv
