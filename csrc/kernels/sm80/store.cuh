// From the sums of a warp of forward_sm80 to the results.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>
#include <type_traits>

#include "columns.cuh"
#include "epilogue.cuh"
#include "halo.cuh"
#include "params/forward_sm80.h"
#include "products.cuh"
#include "quads.cuh"

namespace octconv {

// What a lane stores of a row of sums: vectors of columns beside each other. Where the columns of
// the weight are permuted, they are the lane's own sums of a group of n8 tiles, 16 bytes. Else two
// lanes give each other half of what they have of two tiles, unless 8 bytes are those of one tile:
// so four lanes store whole sectors.
template <typename Tile>
struct RowVectors {
  using T = typename Tile::T;
  static constexpr int kSize = sizeof(T), kBytes = Tile::kPermutes ? 16 : 8;
  static constexpr int kTiles = kBytes / (2 * kSize);  // that a vector is made from
  static constexpr int kColumns = 8 * kTiles;          // from a lane's vector to its next one
  static constexpr int kCount = Tile::kTilesN / kTiles;
  static constexpr bool kExchanges = !Tile::kPermutes && kTiles == 2;
  using Vector = std::conditional_t<kBytes == 16, ptx::Word128, uint64_t>;
  using Values = float[2 * kTiles];

  bool odd = ptx::lane() % 2 != 0;

  // The first column of a lane's first vector.
  static __device__ __forceinline__ int32_t first_column() {
    const int32_t in_quarter = ptx::lane() % 4;
    return kExchanges ? in_quarter % 2 * 8 + in_quarter / 2 * 4 : sum_column<Tile>(0);
  }

  // The lane's own sums that become vector `v`.
  static __device__ __forceinline__ void values(Values& value, const float (&sum)[Tile::kTilesN][4],
                                                int v, int half) {
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) value[i] = sum[v * kTiles + i / 2][2 * half + i % 2];
  }

  __device__ __forceinline__ Vector vector(const Values& value) const {
    uint32_t word[kBytes / 4];
#pragma unroll
    for (int i = 0; i < kBytes / 4; ++i) {
      if constexpr (kSize == 4) {
        word[i] = ptx::as_bits(value[i]);
      } else {
        word[i] = ptx::narrow_pair<T>(value[2 * i], value[2 * i + 1]);
      }
    }
    if constexpr (kExchanges) {
      const uint32_t received = ptx::shuffle_xor(odd ? word[0] : word[1], 1);
      (odd ? word[0] : word[1]) = received;
    }
    Vector vector;
    memcpy(&vector, word, kBytes);
    return vector;
  }
};

// A map as a lane stores it: in bytes, where its results of the first pixel are, and how far those
// of others are from it.
struct LaneMap {
  int64_t first;
  int32_t pixel_bytes, row_bytes;

  template <typename T>
  static __device__ __forceinline__ LaneMap of(const Output& output, int32_t column) {
    return {(column - output.first) * int64_t{sizeof(T)}, output.pixel_bytes, output.row_bytes};
  }
  // row: counted over all images.
  __device__ __forceinline__ int64_t offset(int32_t row, int32_t x) const {
    return int64_t{row} * row_bytes + int64_t{x} * pixel_bytes;
  }
};

// Stores the phases of quads, or the quads: rows of a warp's sums.
template <typename Tile>
class QuadStore {
 public:
  __device__ __forceinline__ QuadStore(const ForwardParams& p, const Program& program,
                                       int32_t first_column)
      : p_(p),
        program_(program),
        first_column_(first_column),
        column_(first_column + Row::first_column()),
        map_(LaneMap::of<T>(program.output[0], column_)) {}

  // tiles: the phases' sums. kFinishes: of inference, scaled already.
  template <bool kFinishes>
  __device__ __forceinline__ void store(const float (*tiles)[Tile::kTilesN][4], int half,
                                        const Pixel& quad) const {
    const uint32_t inside = pixels_inside(quad);
    const int64_t corner = map_.first + corner_of(quad);
    char* to = static_cast<char*>(program_.output[0].map);
    const char* from = static_cast<const char*>(program_.output[0].residual);
#pragma unroll
    for (int first = 0; first < kVectors; first += kTogether) {
      ptx::Word128 residual[kTogether] = {};
      if (kFinishes && from) {
#pragma unroll
        for (int i = 0; i < kTogether; ++i) {
          const int phase = (first + i) / Row::kCount, v = (first + i) % Row::kCount;
          if (!is_inside(inside, phase, v)) continue;
          ptx::load_constant(residual[i], from + corner + offset_of(phase, v));
        }
      }
#pragma unroll
      for (int i = 0; i < kTogether; ++i) {
        const int phase = (first + i) / Row::kCount, v = (first + i) % Row::kCount;
        typename Row::Values value;
        Row::values(value, tiles[phase], v, half);
        if constexpr (kFinishes) finish_values<T>(value, residual[i], p_.activation);
        ptx::store_global_if(is_inside(inside, phase, v), to + corner + offset_of(phase, v),
                             row_.vector(value));
      }
    }
  }

  // Of the input gradient at stride 2: the phases are pixels of the second map, and, up to the
  // first one's last column, each a quad of that map, divided by how many pixels it has.
  __device__ __forceinline__ void spread(const float (*tiles)[Tile::kTilesN][4], int half,
                                         const Pixel& quad) const {
    const Output &wide = program_.output[0], &grid = program_.output[1];
    const LaneMap grid_map = LaneMap::of<T>(grid, column_);
    const uint32_t inside = quad.inside ? phases_inside(p_, quad) : 0;
    const int32_t y = 4 * quad.y, x = 4 * quad.x;
    char* in_wide =
        static_cast<char*>(wide.map) + map_.first + map_.offset(quad.image * wide.height + y, x);
    char* in_grid = static_cast<char*>(grid.map) + grid_map.first +
                    grid_map.offset(quad.image * p_.grid_height + 2 * quad.y, 2 * quad.x);
#pragma unroll
    for (int phase = 0; phase < kPhases; ++phase) {
      const int dy = phase / 2, dx = phase % 2;
      const bool below = y + 2 * dy + 1 < wide.height, beside = x + 2 * dx + 1 < wide.width;
      const float factor = share(below ? 2 : 1, beside ? 2 : 1);
      char* to_wide = in_wide + map_.offset(2 * dy, 2 * dx);
      char* to_grid = in_grid + grid_map.offset(dy, dx);
#pragma unroll
      for (int v = 0; v < Row::kCount; ++v) {
        typename Row::Values value;
        Row::values(value, tiles[phase], v, half);
#pragma unroll
        for (int i = 0; i < 2 * Row::kTiles; ++i) {
          const int32_t tile_column = first_column_ + (v * Row::kTiles + i / 2) * 8;
          if (tile_column < wide.last) value[i] *= factor;
        }
        const typename Row::Vector vector = row_.vector(value);
        const bool wanted = is_inside(inside, phase, v);
        const bool spreads = column_ + v * Row::kColumns < wide.last;
        char* to = (spreads ? to_wide : to_grid) + v * Row::kColumns * kSize;
        ptx::store_global_if(wanted, to, vector);
        ptx::store_global_if(wanted && spreads && beside, to + map_.offset(0, 1), vector);
        ptx::store_global_if(wanted && spreads && below, to + map_.offset(1, 0), vector);
        ptx::store_global_if(wanted && spreads && below && beside, to + map_.offset(1, 1), vector);
      }
    }
  }

 private:
  using T = typename Tile::T;
  using Row = RowVectors<Tile>;
  static constexpr int kSize = sizeof(T), kPhases = Tile::kHigh ? 4 : 1;
  static constexpr int kVectors = kPhases * Row::kCount;
  static constexpr int kTogether = kVectors < 8 ? kVectors : 8;  // residuals under way
  static_assert(kVectors % kTogether == 0);

  __device__ __forceinline__ uint32_t pixels_inside(const Pixel& quad) const {
    return !quad.inside ? 0 : Tile::kHigh ? phases_inside(p_, quad) : 1;
  }
  // In bytes: where a quad's first pixel lies in the map, and from it a vector of one of its
  // phases.
  __device__ __forceinline__ int64_t corner_of(const Pixel& quad) const {
    return Tile::kHigh ? map_.offset(quad.image * p_.grid_height + 2 * quad.y, 2 * quad.x)
                       : map_.offset(quad.image * p_.quad_height + quad.y, quad.x);
  }
  __device__ __forceinline__ int64_t offset_of(int phase, int v) const {
    return map_.offset(phase / 2, phase % 2) + v * Row::kColumns * kSize;
  }

  __device__ __forceinline__ bool is_inside(uint32_t phases, int phase, int v) const {
    return (phases >> phase & 1) != 0 && column_ + v * Row::kColumns < program_.columns;
  }

  const ForwardParams& p_;
  const Program& program_;
  const int32_t first_column_, column_;  // of the warp, and of the lane
  const LaneMap map_;                    // the first output
  const Row row_;
};

// The quad of this lane in the `row`-th eight of the warp.
template <typename Tile>
__device__ __forceinline__ Pixel row_quad(const ForwardParams& p, const Program& program,
                                          const TilePlace& place, int row) {
  const int32_t quad =
      ptx::thread_x() / 32 / Tile::kWarpsN * Tile::kQuadsOfWarp + row * 8 + ptx::lane() / 4;
  const int32_t ty = program.by_tile_width.quotient(quad), y = place.row + ty;
  const int32_t x = place.x + quad - ty * program.tile_width;
  const int32_t image = p.by_quad_height.quotient(y);
  return {image, y - image * p.quad_height, x,
          ty < program.tile_height && x < p.quad_width && image < p.batch};
}

// All results of a tile whose sums are complete.
template <typename Tile>
__device__ __forceinline__ void store_results(const ForwardParams& p, const Program& program,
                                              Sums<Tile>& sum, const TilePlace& place,
                                              int32_t first_column) {
  constexpr int kPhases = Tile::kHigh ? 4 : 1;
  const int32_t column = first_column + ptx::thread_x() / 32 % Tile::kWarpsN * Tile::kColumnsOfWarp;
  const QuadStore<Tile> store(p, program, column);
  const auto for_each_quad = [&](const auto& visit) {
#pragma unroll
    for (int row = 0; row < 2 * Tile::kTilesM / kPhases; ++row) {
      visit(sum + row / 2 * kPhases, row % 2, row_quad<Tile>(p, program, place, row));
    }
  };
  if constexpr (Tile::kSpreads) {
    if (program.output[0].spread) {
      for_each_quad([&](auto... row) { store.spread(row...); });
      return;
    }
  }
  if constexpr (!Tile::kTransposed) {
    if (p.scale) {
      scale_sums<Tile, Tile::kTilesM>(sum, p, program, column);
      for_each_quad([&](auto... row) { store.template store<true>(row...); });
      return;
    }
  }
  for_each_quad([&](auto... row) { store.template store<false>(row...); });
}

}  // namespace octconv
