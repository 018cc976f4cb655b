// The fused octave convolution, with or without an epilogue, or its input gradient, for 1x1 kernels
// at stride 1. A tile gives the high and the low results of its quads: each pixel is read once, and
// pooled on its way from shared memory to the tensor cores, in registers.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>
#include <type_traits>

#include "params/forward_1x1_sm80.h"
#include "sm80/products.cuh"
#include "sm80/store_1x1.cuh"
#include "sm80/stream_1x1.cuh"
#include "sm80/sums.cuh"
#include "sm80/weight.cuh"
#include "traits/forward_1x1_sm80.h"

namespace octconv {

template <typename Traits>
struct JointSums {
  float high[4][Traits::kTilesN][4];  // (phase, n8 tile, 4)
  float low[Traits::kTilesN][4];
};

// What an item is of the parts that it may have.
struct ItemParts {
  bool high, low;
};

// The two elements of a word.
template <typename T>
__device__ __forceinline__ void widen_pair(float& low, float& high, uint32_t word) {
  if constexpr (std::is_same_v<T, BFloat16>) {  // the upper half of a float each
    low = ptx::as_float(word << 16), high = ptx::as_float(word & 0xffff0000);
  } else {
    low = ptx::widen(T{static_cast<uint16_t>(word)});
    high = ptx::widen(T{static_cast<uint16_t>(word >> 16)});
  }
}

// The mean of the four phases' pixels that are there, from a word of each, as an operand.
template <typename T>
__device__ __forceinline__ uint32_t pool_word(const uint32_t (&a)[4][4], int word, float factor) {
  if constexpr (sizeof(T) == 4) {
    float sum = ptx::as_float(a[0][word]);
    for (int phase = 1; phase < 4; ++phase) sum += ptx::as_float(a[phase][word]);
    return ptx::round_tf32(ptx::as_bits(sum * factor));
  } else {
    float low[4], high[4];
#pragma unroll
    for (int phase = 0; phase < 4; ++phase) widen_pair<T>(low[phase], high[phase], a[phase][word]);
    return ptx::narrow_pair<T>((low[0] + low[1] + low[2] + low[3]) * factor,
                               (high[0] + high[1] + high[2] + high[3]) * factor);
  }
}

// Where a warp finds its operands in a stage: the cells of its quads and the weight's fragments.
template <typename Traits>
struct LaneOperands {
  static constexpr int kLowWeight =  // from the high columns' fragments to the low ones'
      Traits::kPartColumns *
      (Traits::kTransposed ? int{sizeof(typename Traits::T)} : Traits::kWeightPitch);
  static constexpr int kPhaseBytes = Traits::kQuads * Traits::kCellPitch;
  uint32_t cells, weight;

  __device__ __forceinline__ LaneOperands()
      : cells((ptx::thread_x() / 32 * 16 + ptx::lane() % 16) * Traits::kCellPitch +
              ptx::lane() / 16 * 16),
        weight(Traits::kCellsBytes + weight_lane_offset<Traits>(0)) {}
};

// A chunk of the low input: for the high results into the sums of phase 0.
template <typename Traits>
__device__ __forceinline__ void multiply_low_input(JointSums<Traits>& sum, ItemParts parts,
                                                   uint32_t cells, uint32_t weight, int32_t bytes) {
#pragma unroll 1
  for (int32_t step = 0; step < bytes; step += Traits::kStepBytes) {
    uint32_t a[4], b[Traits::kTilesN][2];
    load_cells<Traits>(a, cells + step);
    if (parts.high) {
      load_weight_fragments<Traits>(b, weight, 0, step);
      multiply<Traits>(sum.high[0], a, b);
    }
    if (parts.low) {
      load_weight_fragments<Traits>(b, weight + LaneOperands<Traits>::kLowWeight, 0, step);
      multiply<Traits>(sum.low, a, b);
    }
  }
}

// A chunk of the high input. factor: what the sums over the quads of rows 0 to 7 and 8 to 15 of a
// fragment are multiplied by when they are pooled.
template <typename Traits>
__device__ __forceinline__ void multiply_high_input(JointSums<Traits>& sum, ItemParts parts,
                                                    const float (&factor)[2], uint32_t cells,
                                                    uint32_t weight, int32_t bytes) {
  using T = typename Traits::T;
#pragma unroll 1
  for (int32_t step = 0; step < bytes; step += Traits::kStepBytes) {
    uint32_t a[4][4], pooled[4], b[Traits::kTilesN][2];
#pragma unroll
    for (int phase = 0; phase < 4; ++phase) {
      ptx::load_matrix(a[phase], cells + phase * LaneOperands<Traits>::kPhaseBytes + step);
    }
    if (parts.low) {
#pragma unroll
      for (int i = 0; i < 4; ++i) pooled[i] = pool_word<T>(a, i, factor[i % 2]);
      load_weight_fragments<Traits>(b, weight + LaneOperands<Traits>::kLowWeight, 0, step);
      multiply<Traits>(sum.low, pooled, b);
    }
    if (parts.high) {
      load_weight_fragments<Traits>(b, weight, 0, step);
#pragma unroll
      for (int phase = 0; phase < 4; ++phase) {
        for (int i = 0; i < 4; ++i) round_operand<T>(a[phase][i]);
        multiply<Traits>(sum.high[phase], a[phase], b);
      }
    }
  }
}

// The quad of row `lane / 4` of a fragment, or of the row 8 below it.
__device__ __forceinline__ int32_t row_local_quad(int half) {
  return ptx::thread_x() / 32 * 16 + half * 8 + ptx::lane() / 4;
}
template <typename Traits>
__device__ __forceinline__ Pixel row_quad(const Forward1x1Params& p, const ItemPlace& place,
                                          int half) {
  const int32_t local = row_local_quad(half);
  Pixel quad = quad_pixel(p, place.quad + local);
  quad.inside &= local < p.tile_quads;
  return quad;
}

template <bool kFinishes, typename Traits>  // of inference
__device__ __forceinline__ void store_item(const Forward1x1Params& p, JointSums<Traits>& sum,
                                           ItemParts parts, const ItemPlace& place,
                                           uint32_t scratch) {
  constexpr int kSize = sizeof(typename Traits::T);
  const int32_t column = place.column + ptx::lane() % 4 * 2 * Traits::kGroup;
  const RowStore<Traits> high{p, p.high, column, scratch}, low{p, p.low, column, scratch};
  if constexpr (kFinishes) {
    if (parts.high) scale_sums<Traits, 4>(sum.high, p, p.high, place.column);
    if (parts.low) scale_sums<Traits, 1>(&sum.low, p, p.low, place.column);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Pixel quad = row_quad<Traits>(p, place, half);
    if (parts.high) {
      const int64_t pixel_bytes = p.high.columns * kSize;
      const int64_t row_bytes = p.grid_width * pixel_bytes;
      char* corner = high.map() + first_pixel(p, quad) * pixel_bytes;
      const uint32_t inside = quad.inside ? phases_inside(p, quad) : 0;
#pragma unroll
      for (int phase = 0; phase < 4; ++phase) {
        high.template store<kFinishes>(
            sum.high[phase], half,
            corner + (phase / 2 ? row_bytes : 0) + (phase % 2 ? pixel_bytes : 0),
            (inside >> phase & 1) != 0);
      }
    }
    if (parts.low) {
      const int32_t number = place.quad + row_local_quad(half);
      low.template store<kFinishes>(
          sum.low, half, low.map() + int64_t{number} * (p.low.columns * kSize), quad.inside);
    }
  }
}

// Behind the low input all phases of a quad begin with what its low pixel gave. In the input
// gradient that is divided by the pixels that are there. factor: as multiply_high_input takes it.
template <typename Traits>
__device__ __forceinline__ void spread_low_input(const Forward1x1Params& p, const ItemPlace& place,
                                                 JointSums<Traits>& sum, float (&factor)[2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float mean = 0.25f;
    if (!quads_are_whole(p)) {
      const Pixel quad = row_quad<Traits>(p, place, half);
      mean = share(p.grid_height - 2 * quad.y, p.grid_width - 2 * quad.x);
    }
    factor[half] = Traits::kTransposed ? 1.0f : mean;
#pragma unroll
    for (int n = 0; n < Traits::kTilesN; ++n) {
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        if (Traits::kTransposed) sum.high[0][n][i] *= mean;
        for (int phase = 1; phase < 4; ++phase) sum.high[phase][n][i] = sum.high[0][n][i];
      }
    }
  }
}

template <typename Traits>
__device__ __forceinline__ void run_item(const Forward1x1Params& p, ChunkStream<Traits>& stream,
                                         int32_t item) {
  const ItemPlace place = ItemPlace::of<Traits>(p, item);
  const ItemParts parts{place.column < p.high.columns, place.column < p.low.columns};
  // Told by a shuffle, the compiler knows that lanes do not part here.
  const auto warp = static_cast<int32_t>(ptx::shuffle(ptx::thread_x() / 32, 0));
  const bool multiplies = warp * 16 < p.tile_quads;
  const LaneOperands<Traits> lane;

  JointSums<Traits> sum;
  begin_tile<Traits>(sum.high[0], p, p.high, place.column, true);
  begin_tile<Traits>(sum.low, p, p.low, place.column, true);
  float factor[2];
  uint32_t stage = 0;
#pragma unroll 1
  for (int input = 0; input < 2; ++input) {  // low, high
    if (input == 1) spread_low_input(p, place, sum, factor);
    int32_t left =
        p.high.segment[input].channels * static_cast<int32_t>(sizeof(typename Traits::T));
#pragma unroll 1
    for (; left > 0; left -= Traits::kChunkBytes) {
      stage = stream.next();
      if (!multiplies) continue;
      const int32_t bytes = left < Traits::kChunkBytes ? left : Traits::kChunkBytes;
      if (input == 0) {
        multiply_low_input(sum, parts, stage + lane.cells, stage + lane.weight, bytes);
      } else {
        multiply_high_input(sum, parts, factor, stage + lane.cells, stage + lane.weight, bytes);
      }
    }
  }
  if (!multiplies) return;
  const uint32_t scratch = stage + warp * 16 * Traits::kCellPitch;
  if constexpr (!Traits::kTransposed) {
    if (p.scale) return store_item<true>(p, sum, parts, place, scratch);
  }
  store_item<false>(p, sum, parts, place, scratch);
}

template <typename Traits>
__global__ void __launch_bounds__(Traits::kThreads, 1)
    forward_1x1_sm80(const __grid_constant__ Forward1x1Params p) {
  ptx::SharedMemory shared;
  ChunkStream<Traits> stream(p, shared.take(p.stages * Traits::kStageBytes));
  for (int32_t item = ptx::block_x(); item < p.items; item += ptx::blocks_x()) {
    run_item(p, stream, item);
  }
}

}  // namespace octconv
