// What forward_sm90 is made of. A block of four warpgroups takes tiles of one octave at a time:
//   high   two patches of 64 quads, four phases each, x 32 or 64 channels
//   low    four patches of 8x8 low pixels x 32, 64, 128 or 160 channels
// where the two warpgroups that multiply have half of the patches each. Plain C++: the host plans
// with it.
#pragma once

#include <cstdint>
#include <iterator>
#include <type_traits>

#include "dtype.h"

namespace octconv {

constexpr int kSm90Threads = 512, kSm90Chunk = 64;  // channels in shared memory at a time
constexpr int kSm90Slots = 6;                       // of the weight, at most

// Shared memory holds
//   high   planes of both inputs, then slots of the weight
//   low    an area of each input, or two of what is pooled; strips of the high input, from which it
//          is; then slots
// in bytes. A cell is a chunk of one quad or low pixel. Planes, areas and slots begin at multiples
// of 1024, where the swizzle begins. Windows that reach beyond a box, for quads outside of the map,
// end before the memory does, since the weight lies behind the boxes.
constexpr int kSm90Cell = 2 * kSm90Chunk, kSm90Plane = 20480, kSm90Area = 41984;
constexpr int kSm90Strips = 73728, kSm90LowWeight = 73728;
constexpr int kSm90Buffers = 2 * kSm90Area + kSm90Strips + kSm90LowWeight;
constexpr int kSm90MostPlanes = 6, kSm90MostStrips = 12;
constexpr int kSm90PoolWarps = 6;
constexpr int kSm90Barriers = 2 * kSm90Slots + 2 * kSm90MostPlanes + 2 * kSm90MostStrips;
constexpr int kSm90SharedBytes = kSm90Buffers + 2 * 8 * kSm90Barriers;  // of either octave's tiles
constexpr int kSm90BlockBytes = 232448;                                 // that a block may have
static_assert(kSm90SharedBytes <= kSm90BlockBytes);

// Registers of a thread, of the two warpgroups that load and of the two that multiply. A launch
// gives each thread a quarter of 512: to ask for more than they all have would wait for ever.
constexpr int kSm90LoaderRegisters = 56, kSm90MultiplierRegisters = 200;
constexpr int kSm90Registers = 128;
static_assert(2 * kSm90LoaderRegisters + 2 * kSm90MultiplierRegisters <= 4 * kSm90Registers);

// Quads of one image, or of several.
struct QuadBox {
  int32_t width, height, images;

  constexpr int32_t cells() const { return width * height * images; }
};

// An 8x8 patch of a tile: its place, counted from the tile's.
struct Patch {
  int32_t x, y, image;

  constexpr int32_t cell_in(QuadBox box) const { return (image * box.height + y) * box.width + x; }
};

// How patches lie side by side: along an image, each in an image of its own, or, of high tiles as
// wide as the map, linear: 64 cells of the boxes in their order, those between two rows of quads
// included.
struct Sm90Geometry {
  int32_t most_quads;  // of an image along either axis; 0: any; of a linear one the width alone
  QuadBox phases;      // that a high tile reads of each phase of the high input
  QuadBox quads;       // and of the low input
  QuadBox low;         // that a low tile reads of the low input, and of the pooled high one
  bool linear = false;
  // High tiles take windows of the high input through registers, and low ones are pooled while
  // those before them are multiplied.
  bool on_trial = false;
};
constexpr Sm90Geometry kSm90Geometries[] = {
    {0, {17, 9, 1}, {18, 10, 1}, {18, 18, 1}},
    {14, {16, 9, 1}, {16, 10, 1}, {16, 16, 1}},
    {7, {8, 8, 2}, {9, 9, 2}, {9, 9, 4}},
    {28, {30, 5, 1}, {30, 6, 1}, {18, 18, 1}, true, true},
    {0, {17, 9, 1}, {18, 10, 1}, {18, 18, 1}, false, true},
    {14, {16, 9, 1}, {16, 10, 1}, {16, 16, 1}, false, true},
};
constexpr int kSm90GeometryCount = std::size(kSm90Geometries);

// The stride of tiles, in quads and images.
constexpr QuadBox sm90_tile(Sm90Geometry geometry, bool high) {
  if (geometry.linear && high) return {geometry.most_quads, geometry.phases.height - 1, 1};
  return {16, high ? 8 : 16, high ? geometry.phases.images : geometry.low.images};
}

constexpr Patch sm90_patch(Sm90Geometry geometry, bool high, int index) {
  if (geometry.low.images > 1) return {0, 0, index};
  return high ? Patch{8 * index, 0, 0} : Patch{8 * (index % 2), 8 * (index / 2), 0};
}

// The first cell of a patch of a tile, in a box that the tile reads, and the distance of its rows
// of 8 quads there.
constexpr int32_t sm90_first_cell(Sm90Geometry geometry, bool high, int index, QuadBox box) {
  if (geometry.linear && high) return 64 * index;
  return sm90_patch(geometry, high, index).cell_in(box);
}
constexpr int32_t sm90_row_cells(Sm90Geometry geometry, bool high, QuadBox box) {
  return geometry.linear && high ? 8 : box.width;
}

// What a row of quads of a low tile's box is pooled from, in pixels; with narrow inputs it has half
// of a chunk's channels.
constexpr QuadBox sm90_strip(Sm90Geometry geometry) { return {2 * geometry.low.width, 2, 1}; }

constexpr bool sm90_narrow_strips(int32_t channels) { return channels <= kSm90Chunk / 2; }

// Columns of the weight that a copy brings. Transposed ones come as they lie, rows of 64 columns,
// or, on trial, where a tile has no more, of 32.
constexpr int32_t sm90_columns_of_copy(Sm90Geometry geometry, bool input_grad, int32_t columns) {
  return !input_grad || (geometry.on_trial && columns == 32) ? 32 : kSm90Chunk;
}

// Whether a thread with so many sums of a tile has registers left to add up those of other blocks.
constexpr bool sm90_may_split(int sums) { return sums <= 128; }

// A kernel: its high tiles, and what low ones are pooled from.
template <typename Element, bool kOfInputGrad, int kGeometryIndex, int kHighTileColumns>
struct Sm90Traits {
  using T = Element;
  static constexpr bool kInputGrad = kOfInputGrad;  // the weight is transposed
  static constexpr int kGeometry = kGeometryIndex;
  static constexpr bool kOnTrial = kSm90Geometries[kGeometry].on_trial;
  static constexpr int kHighColumns = kHighTileColumns;
  // A tap's weight in shared memory: as large as cells, a row for each column. Transposed: blocks
  // of a copy's columns, a row for each channel of a chunk.
  static constexpr int kColumnsOfCopy =
      sm90_columns_of_copy(kSm90Geometries[kGeometry], kInputGrad, kHighColumns);
  static constexpr int kCopy = kColumnsOfCopy * kSm90Cell;
  static constexpr int tap_bytes(int columns) {
    return (columns + kColumnsOfCopy - 1) / kColumnsOfCopy * kCopy;
  }
  static constexpr int kHighTap = tap_bytes(kHighColumns);
  static constexpr int kWeightStep = kInputGrad ? 16 * 2 * kColumnsOfCopy : 32;  // 16 channels more
  static constexpr int kHighSlot = 3 * kHighTap;                                 // a row of taps
  static constexpr int kPlanes = 6 * kSm90Plane + kSm90Slots * kHighSlot <= kSm90Buffers ? 6 : 4;
  static constexpr int kQuadBytes = kSm90Geometries[kGeometry].quads.cells() * kSm90Cell;
  static constexpr int kQuadPlanes = kQuadBytes <= kSm90Plane ? 1 : 2;
  static_assert(kPlanes * kSm90Plane + kSm90Slots * kHighSlot <= kSm90Buffers);
  static_assert(sm90_may_split(4 * (kHighColumns / 2)));  // of four phases
  // Of what is pooled; where there are two, the weight has two thirds of its place, tap by tap.
  static constexpr int kPooledAreas = kOnTrial && kHighColumns > 32 ? 2 : 1;
  static constexpr int kBehindAreas = kSm90Buffers - (1 + kPooledAreas) * kSm90Area;
  static constexpr int kLowWeight = kPooledAreas == 1 ? kSm90LowWeight : kSm90LowWeight * 2 / 3;
  static constexpr int kStrip = sm90_strip(kSm90Geometries[kGeometry]).cells() * kSm90Cell;
  // Into a second area, or the other half of each cell, where the input is so narrow.
  static constexpr bool pools_ahead(bool narrow) {
    return kPooledAreas == 2 || (kOnTrial && narrow);
  }
  // Whoever waits for a strip must have seen the one before it in its place: copies overtake.
  static constexpr int strip_bytes(bool narrow) { return kOnTrial && narrow ? kStrip / 2 : kStrip; }
  static constexpr int strips(bool narrow) {
    const int rounds = (kBehindAreas - kLowWeight) / strip_bytes(narrow) / kSm90PoolWarps;
    return (rounds < 2 ? rounds : 2) * kSm90PoolWarps;
  }
  static_assert(strips(false) > 0 && strips(true) <= kSm90MostStrips);
};

// Low tiles of a kernel: their weight.
template <typename Traits, int kLowTileColumns>
struct Sm90LowTraits : Traits {
  static constexpr int kLowColumns = kLowTileColumns;
  static constexpr bool kMaySplit = sm90_may_split(2 * (kLowColumns / 2));  // of two patches
  static constexpr int kTapsOfSlot = kLowColumns <= 64 && Traits::kPooledAreas == 1 ? 3 : 1;
  static constexpr int kLowTap = Traits::tap_bytes(kLowColumns), kLowSlot = kTapsOfSlot * kLowTap;
  static constexpr int kLowSlots = Traits::kLowWeight / kLowSlot;
  static_assert(kLowSlots <= kSm90Slots);
  static_assert(sm90_columns_of_copy(kSm90Geometries[Traits::kGeometry], Traits::kInputGrad,
                                     kLowColumns) == Traits::kColumnsOfCopy);
};

// What is on trial is compiled for bfloat16 alone: what a GPU tells of it goes for float16, too.
template <typename T>
constexpr bool kHasTrials = std::is_same_v<T, BFloat16>;

// All kernels for a type and direction. Narrow high tiles only where the map is large: elsewhere
// wider ones serve, with columns of zeros.
template <typename T, bool kInputGrad, typename Visit>
void for_each_sm90(const Visit& visit) {
  visit(Sm90Traits<T, kInputGrad, 0, 32>());
  visit(Sm90Traits<T, kInputGrad, 0, 64>());
  visit(Sm90Traits<T, kInputGrad, 1, 64>());
  visit(Sm90Traits<T, kInputGrad, 2, 64>());
  if constexpr (kHasTrials<T>) {
    visit(Sm90Traits<T, kInputGrad, 4, 32>());
    visit(Sm90Traits<T, kInputGrad, 4, 64>());
    visit(Sm90Traits<T, kInputGrad, 5, 64>());
    visit(Sm90Traits<T, kInputGrad, 3, 32>());
  }
}

// All low tiles of a kernel: the parameters of a launch choose. Constexpr: kernels call it, too.
template <typename Traits, typename Visit>
constexpr void for_each_low_sm90(const Visit& visit) {
  visit(Sm90LowTraits<Traits, Traits::kHighColumns>());
  if constexpr (Traits::kHighColumns == 64 && !Traits::kOnTrial) {
    visit(Sm90LowTraits<Traits, 128>());
    visit(Sm90LowTraits<Traits, 160>());
    if constexpr (kHasTrials<typename Traits::T>) visit(Sm90LowTraits<Traits, 32>());
  }
}

// Whether a kernel has such low tiles.
template <typename Traits>
constexpr bool has_low_sm90(int32_t columns) {
  bool has = false;
  for_each_low_sm90<Traits>([&](auto low) { has |= decltype(low)::kLowColumns == columns; });
  return has;
}

}  // namespace octconv
