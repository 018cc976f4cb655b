// The pooled high input of low tiles, which six warps make: as copies would lay it in its area.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block.cuh"
#include "kernels/window.cuh"

namespace octconv::sm90 {

// The window above quad (y, x) of an image, where it is `wanted` and there; `channels`: the map
// from the first channel on.
template <typename Traits>
__device__ __forceinline__ void load_window(Window<typename Traits::T>& window,
                                            const ForwardSm90Params& p, const uint16_t* channels,
                                            int32_t image, int32_t y, int32_t x, bool wanted) {
  const bool inside =
      wanted && image < p.batch && y >= 0 && y < p.height[kLow] && x >= 0 && x < p.width[kLow];
  window = {};
  if (!inside) return;
  const int32_t pixel = p.channels_in[kHigh], row = pixel * p.width[kHigh];
  const uint16_t* first =
      channels + (int64_t{image} * p.height[kHigh] + 2 * y) * row + 2 * x * pixel;
  window.load(reinterpret_cast<const char*>(first), int64_t{2} * row, int64_t{2} * pixel,
              2 * y + 1 < p.height[kHigh] ? 2 : 1, 2 * x + 1 < p.width[kHigh] ? 2 : 1,
              Traits::kInputGrad);
}

template <typename Traits>
__device__ __forceinline__ void pool_areas(const ForwardSm90Params& p, const Memory& memory,
                                           const Share& share, int32_t thread) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kBox = kGeometry.low;
  constexpr int kVectors = kSm90Chunk / 8, kCellsAtOnce = kPoolThreads / kVectors;
  constexpr int kWindows = 2;  // whose loads are under way together
  const int32_t vector = thread % kVectors;
  const uint32_t area = memory.area(kHigh);
  Ring<1> ring;
  for (int32_t i = share.first; i < p.tiles[kLow].items; i += share.step) {
    const Item item(p.tiles[kLow], sm90_tile(kGeometry, false), i);
    for (int32_t chunk = 0; chunk < p.chunks[kHigh]; ++chunk) {
      const int32_t channel = chunk * kSm90Chunk + 8 * vector;
      const uint16_t* channels = static_cast<const uint16_t*>(p.high_input) + channel;
      const bool wanted = channel < p.channels_in[kHigh];
      // The last step may have 8 channels that are not there: zeros, not what lay there before.
      const bool multiplied = 8 * vector < 16 * steps_of(p.channels_in[kHigh], chunk);
      ptx::wait_barrier(memory.box_empty(kHigh), ring.parity ^ 1);
#pragma unroll 1
      for (int32_t first = multiplied ? thread / kVectors : kBox.cells(); first < kBox.cells();
           first += kWindows * kCellsAtOnce) {
        Window<typename Traits::T> windows[kWindows];
#pragma unroll
        for (int w = 0; w < kWindows; ++w) {
          const int32_t cell = first + w * kCellsAtOnce;
          const int32_t image = cell / (kBox.width * kBox.height);
          const int32_t row = cell / kBox.width - image * kBox.height;
          load_window<Traits>(windows[w], p, channels, item.image + image, item.y - 1 + row,
                              item.x - 1 + cell % kBox.width, wanted && cell < kBox.cells());
        }
#pragma unroll
        for (int w = 0; w < kWindows; ++w) {
          const int32_t cell = first + w * kCellsAtOnce;
          if (cell >= kBox.cells()) continue;
          ptx::store_shared(area + cell * kSm90Cell + ((vector ^ cell % kVectors) * 16),
                            windows[w].pooled());
        }
      }
      ptx::fence_shared_writes();
      ptx::arrive(memory.box_full(kHigh));
      ring.advance();
    }
  }
}

}  // namespace octconv::sm90
