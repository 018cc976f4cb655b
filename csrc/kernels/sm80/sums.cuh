// From the sums of a warp to the results: the sums of split tiles, and the epilogue.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>

#include "forward_params.h"
#include "halo.cuh"
#include "products.cuh"

namespace octconv {

// Adds the sums of all splits of a tile, in the order of the splits; only the block that comes last
// does, and is told so by the result.
template <typename Tile>
__device__ __forceinline__ bool add_splits(Sums<Tile>& sum, const ForwardParams& p,
                                           const Program& program, int32_t tile, int32_t split,
                                           uint32_t ticket) {
  // High tiles come first, each with its splits; (split, m, n, thread) of four sums each.
  const int64_t before = Tile::kHigh ? 0 : int64_t{p.high.items()};
  const int64_t arrival = Tile::kHigh ? tile : int64_t{p.high.tiles()} + tile;
  const auto at = [&](int32_t of_split, int m, int n) {
    const int64_t item = before + int64_t{tile} * program.splits + of_split;
    return p.partial_sums + (((item * Tile::kMostTilesM + m) * Tile::kTilesN + n) * Tile::kThreads +
                             ptx::thread_x()) *
                                4;
  };
#pragma unroll
  for (int m = 0; m < Tile::kTilesM; ++m) {
#pragma unroll
    for (int n = 0; n < Tile::kTilesN; ++n) {
      ptx::Word128 word;
      for (int i = 0; i < 4; ++i) word.word[i] = ptx::as_bits(sum[m][n][i]);
      ptx::store_global(at(split, m, n), word);
    }
  }
  ptx::sync_block();  // the atomic releases what its thread has seen: the sums of all threads
  if (ptx::thread_x() == 0) ptx::store_shared(ticket, ptx::atomic_add(p.arrivals + arrival, 1));
  ptx::sync_block();
  uint32_t arrived;
  ptx::load_shared(arrived, ticket);
  if (static_cast<int32_t>(arrived) + 1 != program.splits) return false;
#pragma unroll
  for (int m = 0; m < Tile::kTilesM; ++m) {
#pragma unroll
    for (int n = 0; n < Tile::kTilesN; ++n) {
      for (int i = 0; i < 4; ++i) sum[m][n][i] = 0;
#pragma unroll 1
      for (int32_t s = 0; s < program.splits; ++s) {
        ptx::Word128 word;
        ptx::load_global(word, at(s, m, n));
        for (int i = 0; i < 4; ++i) sum[m][n][i] += ptx::as_float(word.word[i]);
      }
    }
  }
  return true;
}

// Of four lanes beside each other, lane i gets word i of each: word[j] comes from lane j.
__device__ __forceinline__ void transpose_words(uint32_t (&word)[4]) {
#pragma unroll
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool upper = ptx::lane() & bit;
#pragma unroll
    for (int pair = 0; pair < 2; ++pair) {
      const int low = bit == 1 ? 2 * pair : pair, high = low + bit;
      const uint32_t received = ptx::shuffle_xor(upper ? word[low] : word[high], bit);
      (upper ? word[low] : word[high]) = received;
    }
  }
}

// A pixel of an output map.
struct Pixel {
  int32_t image, y, x;
  bool inside;

  __device__ __forceinline__ int64_t in(const Output& output, int32_t dy, int32_t dx) const {
    const int64_t row = int64_t{image} * output.height + y + dy;
    return (row * output.width + x + dx) * (output.last - output.first);
  }
};

// The output that a column belongs to; only the input gradient at stride 2 has two.
template <typename Tile>
__device__ __forceinline__ const Output& output_of(const Program& program, int32_t column) {
  const bool second = Tile::kHigh && Tile::kTransposed && column >= program.output[0].last;
  return program.output[second ? 1 : 0];
}

// Stores the eight channels from `column` on that a lane holds of a pixel.
template <typename Tile>
__device__ __forceinline__ void store_pixel(const Program& program, const Pixel& pixel,
                                            int32_t column, const uint32_t* words) {
  using T = typename Tile::T;
  constexpr int kVectors = sizeof(T) / 2;
  const Output& output = output_of<Tile>(program, column);
  T* map = static_cast<T*>(output.map) + column - output.first;
  const auto store = [&](T* to) {
    for (int i = 0; i < kVectors; ++i) {
      ptx::Word128 word;
      memcpy(&word, words + 4 * i, 16);
      ptx::store_global(to + i * 4, word);
    }
  };
  if (!(Tile::kHigh && Tile::kTransposed && output.spread)) {
    return store(map + pixel.in(output, 0, 0));
  }
  const Pixel corner{pixel.image, 2 * pixel.y, 2 * pixel.x, true};
  for (int dy = 0; dy < 2 && corner.y + dy < output.height; ++dy) {
    for (int dx = 0; dx < 2 && corner.x + dx < output.width; ++dx) {
      store(map + corner.in(output, dy, dx));
    }
  }
}

// The sums of a lane at two rows and eight columns of four n8 tiles: two words to store of each
// tile and row, or four of tf32. Four lanes hold two columns of each tile; after an exchange each
// holds the eight of one tile.
template <typename Tile>
__device__ __forceinline__ void store_row(const Program& program,
                                          const float (&sum)[Tile::kTilesN][4], int half,
                                          const Pixel& pixel, int32_t column) {
  using T = typename Tile::T;
  constexpr int kWords = sizeof(T) / 2;  // to a pair of columns
  const int32_t lane_tile = ptx::lane() % 4;
#pragma unroll
  for (int n = 0; n < Tile::kTilesN; n += 4) {
    uint32_t word[kWords][4];  // (word of a pair, n8 tile)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float pair[2] = {sum[n + j][2 * half], sum[n + j][2 * half + 1]};
      if (Tile::kHigh && Tile::kTransposed) {
        const Output& output = output_of<Tile>(program, column + (n + j) * 8);
        if (output.spread) {
          const float factor = share(output.height - 2 * pixel.y, output.width - 2 * pixel.x);
          for (float& value : pair) value *= factor;
        }
      }
      if constexpr (kWords == 1) {
        word[0][j] = ptx::narrow_pair<T>(pair[0], pair[1]);
      } else {
        for (int w = 0; w < 2; ++w) word[w][j] = ptx::as_bits(pair[w]);
      }
    }
    for (int w = 0; w < kWords; ++w) transpose_words(word[w]);
    uint32_t in_order[4 * kWords];
    for (int w = 0; w < 4 * kWords; ++w) in_order[w] = word[w % kWords][w / kWords];
    const int32_t of_lane = column + (n + lane_tile) * 8;
    if (pixel.inside && of_lane < program.columns) {
      store_pixel<Tile>(program, pixel, of_lane, in_order);
    }
  }
}

// All results of a tile whose sums are complete.
template <typename Tile>
__device__ __forceinline__ void store_results(const ForwardParams& p, const Program& program,
                                              const Sums<Tile>& sum, const TilePlace& place,
                                              int32_t first_column) {
  constexpr int kPhases = Tile::kHigh ? 4 : 1;
  const int32_t warp = ptx::thread_x() / 32;
  const int32_t column = first_column + warp % Tile::kWarpsN * Tile::kColumnsOfWarp;
#pragma unroll
  for (int i = 0; i < 2 * Tile::kTilesM / kPhases; ++i) {  // rows of 8 quads
    const int32_t quad = warp / Tile::kWarpsN * Tile::kQuadsOfWarp + i * 8 + ptx::lane() / 4;
    const int32_t ty = quad / program.tile_width, tx = quad % program.tile_width;
    const int32_t images = (place.y + ty) / p.quad_height;
    const Pixel corner{
        place.image + images, place.y + ty - images * p.quad_height, place.x + tx,
        ty < program.tile_height && place.x + tx < p.quad_width && place.image + images < p.batch};
#pragma unroll
    for (int phase = 0; phase < kPhases; ++phase) {
      Pixel pixel = corner;
      if (Tile::kHigh) {
        pixel.y = 2 * corner.y + phase / 2;
        pixel.x = 2 * corner.x + phase % 2;
        pixel.inside &= pixel.y < p.grid_height && pixel.x < p.grid_width;
      }
      store_row<Tile>(program, sum[i / 2 * kPhases + phase], i % 2, pixel, column);
    }
  }
}

}  // namespace octconv
