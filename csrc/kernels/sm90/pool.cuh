// The pooled high input of low tiles, which six warps make from strips of it: as copies would lay
// it in its area.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "kernels/window.cuh"

namespace octconv::sm90 {

// Pools the strip at `strip`, of row `y` of quads from `x` on, to cells from `cell` of the area on,
// each from `first_byte` on. A lane takes 16 bytes of every few quads' channels. Pixels that are
// not there are zeros.
template <typename Traits, bool kNarrow>
__device__ __forceinline__ void pool_strip(const ForwardSm90Params& p, uint32_t strip,
                                           uint32_t area, int32_t first_byte, int32_t cell,
                                           int32_t y, int32_t x) {
  constexpr int kPixel = kNarrow ? kSm90Cell / 2 : kSm90Cell;
  constexpr int kWidth = kSm90Geometries[Traits::kGeometry].low.width;
  constexpr int kVectors = kPixel / 16, kQuadsAtOnce = 32 / kVectors;
  const uint32_t vector = ptx::lane() % kVectors;
  const int32_t first = static_cast<int32_t>(ptx::lane() / kVectors);
  // Of half pixels every other quad takes the right one first: from other banks.
  const uint32_t turn = kNarrow ? first % 2 * kPixel : 0;
  const uint32_t from = strip + first * 2 * kPixel + vector * 16;
  const uint32_t from_pixel[2] = {from + turn, from + kPixel - turn};
  const int32_t rows = 2 * y + 1 < p.height[kHigh] ? 2 : 1;
#pragma unroll
  for (int begin = 0; begin < kWidth; begin += kQuadsAtOnce) {
    const int32_t quad = first + begin;
    const uint32_t to = cell + quad;
    if (quad >= kWidth) continue;
    Window<typename Traits::T> window;
    window.factor =
        Traits::kInputGrad ? 1.0f : share(rows, 2 * (x + quad) + 1 < p.width[kHigh] ? 2 : 1);
#pragma unroll
    for (int pixel = 0; pixel < 4; ++pixel) {
      ptx::load_shared(window.word[pixel], from_pixel[pixel % 2] + 2 * begin * kPixel +
                                               pixel / 2 * (2 * kWidth * kPixel));
    }
    ptx::store_shared(area + to * kSm90Cell + ((vector ^ to % 8) * 16 ^ first_byte),
                      window.pooled());
  }
}

// Strips go to the warps in turn, across chunks and tiles.
template <typename Traits, bool kNarrow>
__device__ __forceinline__ void pool_areas(const ForwardSm90Params& p, const Memory& memory,
                                           const Share& share, int32_t warp) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kBox = kGeometry.low;
  constexpr int kRows = kBox.height * kBox.images;
  const ChunkRange& chunks = own_chunks(p.chunks[kLow]);
  PooledRing<Traits> pooled(kNarrow);
  StripRing<Traits> strips(kNarrow);
  strips.advance(warp);
  int32_t row = warp;
#pragma unroll 1
  for (int32_t i = share.first; i < share.end; i += share.step) {
    const Item item(p.tiles[kLow], sm90_tile(kGeometry, false), i);
#pragma unroll 1
    for (int32_t chunk = 0; chunk < chunks.count(kHigh); ++chunk) {
      ptx::wait_barrier(memory.box_empty(pooled.barrier()), pooled.parity ^ 1);
#pragma unroll 1
      for (; row < kRows; row += kSm90PoolWarps) {
        ptx::wait_barrier(memory.strip_full(strips.stage), strips.parity);
        pool_strip<Traits, kNarrow>(p, strips.address(memory), memory.area(pooled.area()),
                                    pooled.first_byte(), row * kBox.width,
                                    item.y - 1 + row % kBox.height, item.x - 1);
        hand_over(memory.strip_empty(strips.stage));
        strips.advance(kSm90PoolWarps);
      }
      row -= kRows;
      arrive_once(memory.box_full(pooled.barrier()));  // behind the fence of each strip
      pooled.advance();
    }
  }
}

}  // namespace octconv::sm90
