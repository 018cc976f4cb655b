// What weight_grad_sm90 is made of. A tile is a square of one block of the weight, 32 or 64
// channels along each side, with all nine taps. A block of threads sums it up over pixel tiles: 8
// pixels x a height x some images. A cell is the tile's channels of one pixel; a stage of shared
// memory has, of each pixel tile,
//   fixed     8 x height x images cells, or 16 x 2 height, which are pooled to as many
//   shifted   10 x (height + 2) x images cells: what all taps meet
// Three warpgroups multiply, a row of three taps each, and have the sums in registers:
//   sums      channels of the fixed operand x (taps, channels of the shifted one)
// A fourth one copies, pools, and sums up dy. Plain C++: the host plans with it.
#pragma once

#include <cstdint>

#include "traits/forward_sm90.h"
#include "traits/weight_grad_sm80.h"

namespace octconv {

constexpr int kGradSm90Threads = 512;
constexpr int kGradSm90Multipliers = 3;  // warpgroups
constexpr int kGradSm90Helpers = 96;     // threads that pool, or sum up dy
constexpr int kGradSm90Width = 8;        // of pixel tiles: two rows make a step of 16 pixels
constexpr int kGradSm90LeastStages = 3, kGradSm90MostStages = 8;

// Registers of a thread, of those that load and of those that multiply. A launch gives each thread
// a quarter of 512.
constexpr int kGradSm90LoaderRegisters = 80, kGradSm90MultiplierRegisters = 144;
constexpr int kGradSm90Registers = 128;
static_assert(kGradSm90LoaderRegisters + kGradSm90Multipliers * kGradSm90MultiplierRegisters <=
              4 * kGradSm90Registers);

// Bytes behind the stages: three barriers of each, and eight sums of each helper.
constexpr int kGradSm90FixedBytes = kGradSm90MostStages * 3 * 8 + kGradSm90Helpers * 8 * 4;

// Cells of a stage. Each operand begins at a multiple of 1024 bytes, where the swizzle begins.
struct GradSm90Cells {
  int32_t height, images;
  bool pools;

  constexpr int32_t fixed() const { return kGradSm90Width * height * images * (pools ? 4 : 1); }
  constexpr int32_t shifted() const { return (kGradSm90Width + 2) * (height + 2) * images; }
  constexpr int32_t steps() const { return height / 2 * images; }
  constexpr int32_t fixed_bytes(int32_t tile) const { return whole(fixed() * 2 * tile); }
  constexpr int32_t stage_bytes(int32_t tile) const {
    return fixed_bytes(tile) + whole(shifted() * 2 * tile);
  }

 private:
  static constexpr int32_t whole(int32_t bytes) { return (bytes + 1023) / 1024 * 1024; }
};

template <typename Element, int kChannels>
struct GradSm90Traits {
  using T = Element;
  static_assert(sizeof(T) == 2 && (kChannels == 32 || kChannels == 64));
  static constexpr int kTile = kChannels, kColumns = 3 * kTile, kSums = kColumns / 2;
  static constexpr int kCell = 2 * kTile, kChunks = kCell / 16;  // bytes; 16 of them each
};

// Calls visit(GradSm90Traits<...>()) for each instantiation of an element type.
template <typename T, typename Visit>
void for_each_grad_sm90(const Visit& visit) {
  visit(GradSm90Traits<T, 32>());
  visit(GradSm90Traits<T, 64>());
}

// For the parameters that all kernels of the weight gradient share.
constexpr WeightGradLimits grad_sm90_limits(int32_t tile) {
  WeightGradLimits limits{};
  limits.threads = kGradSm90Threads;
  limits.rows = limits.columns = tile;
  limits.taps = limits.tap_rows = 3;
  limits.element_bytes = 2;
  limits.dy_pitch = limits.x_pitch = 2 * tile;
  return limits;
}

}  // namespace octconv
