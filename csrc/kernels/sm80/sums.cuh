// From the sums of a warp to the results: the sums of split tiles, and the epilogue.
#pragma once

#include <cstdint>
#include <cstring>
#include <device/ptx.cuh>
#include <type_traits>

#include "columns.cuh"
#include "forward_params.h"
#include "halo.cuh"
#include "products.cuh"
#include "turns.cuh"

namespace octconv {

template <typename T>
__device__ __forceinline__ float load_element(const void* base, int64_t index) {
  std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t> bits;
  ptx::load_constant(bits, static_cast<const T*>(base) + index);
  return ptx::widen(T{bits});
}

// The sums of one m16 tile begin with the bias of its columns, or with zeros.
template <typename Tile>
__device__ __forceinline__ void begin_tile(float (&sum)[Tile::kTilesN][4], const ForwardParams& p,
                                           const Program& program, int32_t first_column,
                                           bool with_bias) {
#pragma unroll
  for (int n = 0; n < Tile::kTilesN; ++n) {
    for (int i = 0; i < 4; ++i) sum[n][i] = 0;
  }
  if (!with_bias || !p.bias) return;
#pragma unroll
  for (int n = 0; n < Tile::kTilesN; ++n) {
    const int32_t column = first_column + sum_column<Tile>(n);
    if (column >= program.columns) continue;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      sum[n][i] = sum[n][i + 2] =
          load_element<typename Tile::T>(p.bias, program.first_column + column + i);
    }
  }
}

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
    return p.partial_sums +
           (((item * Tile::kMostTilesM + m) * Tile::kTilesN + n) * Tile::kMultiplierThreads +
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
  sync_multipliers<Tile>();  // the atomic releases what its thread has seen: all threads' sums
  if (ptx::thread_x() == 0) ptx::store_shared(ticket, ptx::atomic_add(p.arrivals + arrival, 1));
  sync_multipliers<Tile>();
  uint32_t arrived;
  ptx::load_shared(arrived, ticket);
  if (static_cast<int32_t>(arrived) + 1 != program.splits) return false;
#pragma unroll
  for (int m = 0; m < Tile::kTilesM; ++m) {
#pragma unroll
    for (int n = 0; n < Tile::kTilesN; ++n) {
      for (int i = 0; i < 4; ++i) sum[m][n][i] = 0;
    }
#pragma unroll 1
    for (int32_t s = 0; s < program.splits; ++s) {
      ptx::Word128 word[Tile::kTilesN];  // all loads of a row of tiles are under way together
#pragma unroll
      for (int n = 0; n < Tile::kTilesN; ++n) ptx::load_global(word[n], at(s, m, n));
#pragma unroll
      for (int n = 0; n < Tile::kTilesN; ++n) {
        for (int i = 0; i < 4; ++i) sum[m][n][i] += ptx::as_float(word[n].word[i]);
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
  const bool second = Tile::kSpreads && column >= program.output[0].last;
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
  if (!(Tile::kSpreads && output.spread)) {
    return store(map + pixel.in(output, 0, 0));
  }
  const Pixel corner{pixel.image, 2 * pixel.y, 2 * pixel.x, true};
  for (int dy = 0; dy < 2 && corner.y + dy < output.height; ++dy) {
    for (int dx = 0; dx < 2 && corner.x + dx < output.width; ++dx) {
      store(map + corner.in(output, dy, dx));
    }
  }
}

template <typename T>
struct PairOf {
  T element[2];
};

template <typename T>
__device__ __forceinline__ PairOf<T> load_pair(const T* address) {
  std::conditional_t<sizeof(T) == 2, uint32_t, uint64_t> word;
  ptx::load_constant(word, address);
  PairOf<T> pair;
  memcpy(&pair, &word, sizeof(pair));
  return pair;
}

// What inference does to the two sums of a lane in one n8 tile. Few branches and short addresses:
// this is inlined for each pair of sums.
template <typename T>
struct LaneEpilogue {
  const float* scale;  // at the first column of the lane
  const float* shift;
  const T* residual;  // at the pixel and the first column of the lane, or null
  Activation activation;

  // `column` counts on from the lane's first one.
  __device__ __forceinline__ void apply(float (&pair)[2], int32_t column) const {
    const PairOf<float> factor = load_pair(scale + column), term = load_pair(shift + column);
    PairOf<T> addend{};
    if (residual) addend = load_pair(residual + column);
    for (int i = 0; i < 2; ++i) {
      const float value =
          pair[i] * factor.element[i] + term.element[i] + ptx::widen(addend.element[i]);
      const float sigmoid =
          ptx::reciprocal_approximate(1 + ptx::exp2_approximate(-1.4426950408889634f * value));
      const float rectified = value < 0 ? 0 : value;  // a NaN stays one
      pair[i] = activation == Activation::kNone   ? value
                : activation == Activation::kRelu ? rectified
                                                  : value * sigmoid;
    }
  }
};

// One row of a warp's sums at one pixel. A lane stores eight columns, 16 bytes or 32 of tf32, of
// each 32: its own ones, or, transposed, those of one n8 tile after an exchange among four lanes.
template <typename Tile>
__device__ __forceinline__ void store_row(const ForwardParams& p, const Program& program,
                                          const float (&sum)[Tile::kTilesN][4], int half,
                                          const Pixel& pixel, int32_t column) {
  using T = typename Tile::T;
  constexpr int kWords = sizeof(T) / 2;  // to a pair of columns
  const int32_t lane = ptx::lane() % 4, of_lane = column + 8 * lane;
  const int32_t channel = program.first_column + of_lane;
  const Output& first = program.output[0];
  const T* residual = static_cast<const T*>(first.residual);
  const LaneEpilogue<T> epilogue{p.scale + channel, p.shift + channel,
                                 residual ? residual + pixel.in(first, 0, 0) + of_lane : nullptr,
                                 p.activation};
#pragma unroll
  for (int n = 0; n < Tile::kTilesN; n += 4) {
    const bool inside = pixel.inside && of_lane + n * 8 < program.columns;
    uint32_t word[kWords][4];  // (word of a pair, n8 tile)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float pair[2] = {sum[n + j][2 * half], sum[n + j][2 * half + 1]};
      if constexpr (Tile::kSpreads) {
        const Output& output = output_of<Tile>(program, column + (n + j) * 8);
        if (output.spread) {
          const float factor = share(output.height - 2 * pixel.y, output.width - 2 * pixel.x);
          for (float& value : pair) value *= factor;
        }
      }
      if constexpr (Tile::kEpilogue) {
        static_assert(!Tile::kTransposed);
        if (inside) epilogue.apply(pair, n * 8 + 2 * j);
      }
      if constexpr (kWords == 1) {
        word[0][j] = ptx::narrow_pair<T>(pair[0], pair[1]);
      } else {
        for (int w = 0; w < 2; ++w) word[w][j] = ptx::as_bits(pair[w]);
      }
    }
    if constexpr (Tile::kTransposed) {
      for (int w = 0; w < kWords; ++w) transpose_words(word[w]);
    }
    uint32_t in_order[4 * kWords];
    for (int w = 0; w < 4 * kWords; ++w) in_order[w] = word[w % kWords][w / kWords];
    if (inside) store_pixel<Tile>(program, pixel, of_lane + n * 8, in_order);
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
      store_row<Tile>(p, program, sum[i / 2 * kPhases + phase], i % 2, pixel, column);
    }
  }
}

}  // namespace octconv
