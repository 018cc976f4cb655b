// What a block of forward_1x1_sm80 loads: the chunks of all its items as one stream. Loads run
// ahead across the borders of items, so that those of the next one are under way while the results
// of the last are stored.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "forward_1x1_params.h"
#include "halo.cuh"
#include "sums.cuh"
#include "weight.cuh"

namespace octconv {

// The first quad and, of each part, the first column of an item. The column tiles of the same quads
// are neighbours: blocks that read the same pixels do so at the same time.
struct ItemPlace {
  int32_t quad, column;

  template <typename Traits>
  static __device__ __forceinline__ ItemPlace of(const Forward1x1Params& p, int32_t item) {
    const int32_t spatial = item / p.tiles_columns;
    return {spatial * p.tile_quads, (item - spatial * p.tiles_columns) * Traits::kPartColumns};
  }
};

// The quad as a pixel of the low map.
__device__ __forceinline__ Pixel quad_pixel(const Forward1x1Params& p, int32_t quad) {
  const int32_t row = quad / p.quad_width, image = row / p.quad_height;
  return {image, row - image * p.quad_height, quad - row * p.quad_width, quad < p.quads};
}

template <typename Traits>
class ChunkStream {
 public:
  // Begins to load the items of this block into stages from `memory` on.
  __device__ __forceinline__ ChunkStream(const Forward1x1Params& p, uint32_t memory)
      : p_(p), memory_(memory), item_(ptx::block_x()) {
    begin_item();
    for (int32_t i = 1; i < p.stages; ++i) load();
  }

  // The stage that holds the next chunk, which has landed. The one before is filled again.
  __device__ __forceinline__ uint32_t next() {
    switch (p_.stages) {
      case 2:
        ptx::wait_copies<0>();
        break;
      case 3:
        ptx::wait_copies<1>();
        break;
      default:
        ptx::wait_copies<2>();
    }
    ptx::sync_block();
    load();
    const uint32_t stage = memory_ + reading_ * Traits::kStageBytes;
    reading_ = after(reading_);
    return stage;
  }

 private:
  using T = typename Traits::T;
  static constexpr int kElements = 16 / sizeof(T);
  // A thread loads the same 16 bytes of every kQuads / kQuadsOfThread-th quad, in all phases.
  static constexpr int kQuadStride = Traits::kWarps * LaneCell<Traits>::kCells;
  static constexpr int kQuadsOfThread = Traits::kQuads / kQuadStride;

  __device__ __forceinline__ int32_t after(int32_t stage) const {
    return stage + 1 == p_.stages ? 0 : stage + 1;
  }
  // The low input's chunks come first.
  __device__ __forceinline__ const Segment& low_input() const { return p_.high.segment[0]; }
  __device__ __forceinline__ const Segment& high_input() const { return p_.high.segment[1]; }
  __device__ __forceinline__ int32_t local_quad(int i) const {
    return ptx::thread_x() / 32 * LaneCell<Traits>::kCells + LaneCell<Traits>().cell +
           i * kQuadStride;
  }

  // Finds this thread's pixels once for all chunks.
  __device__ __forceinline__ void begin_item() {
    place_ = ItemPlace::of<Traits>(p_, item_);
    inside_ = 0;
#pragma unroll
    for (int i = 0; i < kQuadsOfThread; ++i) {
      const Pixel quad = quad_pixel(p_, place_.quad + local_quad(i));
      const int32_t y = 2 * quad.y, x = 2 * quad.x;
      const int64_t row = int64_t{quad.image} * p_.grid_height + y;
      pixel_[i] = row * p_.grid_width + x;
      if (!quad.inside) continue;
      const bool below = y + 1 < p_.grid_height, beside = x + 1 < p_.grid_width;
      inside_ |= (1u | beside << 1 | below << 2 | (below && beside) << 3) << 4 * i;
    }
  }

  // The next chunk of the stream, if there is one, and the end of a group of copies.
  __device__ __forceinline__ void load() {
    if (item_ < p_.items) {
      const uint32_t stage = memory_ + filling_ * Traits::kStageBytes;
      const bool low = chunk_ < p_.high.chunks[0];
      const int32_t channel = (chunk_ - (low ? 0 : p_.high.chunks[0])) * Traits::kChunk;
      low ? load_low(stage, channel) : load_high(stage, channel);
      load_weight(stage + Traits::kCellsBytes, low, channel);
      if (++chunk_ == p_.high.chunks[0] + p_.high.chunks[1]) {
        chunk_ = 0;
        item_ += ptx::blocks_x();
        begin_item();
      }
    }
    ptx::commit_copies();
    filling_ = after(filling_);
  }

  __device__ __forceinline__ void copy(uint32_t to, const char* source, int64_t offset,
                                       bool inside) const {
    ptx::copy_async(to, inside ? source + offset : source, inside ? 16 : 0);
  }

  __device__ __forceinline__ void load_high(uint32_t stage, int32_t first_channel) const {
    const Segment& input = high_input();
    const char* source = static_cast<const char*>(input.source);
    const int32_t vector = LaneCell<Traits>().vector;
    const int32_t channel = first_channel + vector * kElements;
    const int64_t pixel_bytes = int64_t{input.channels} * sizeof(T);
#pragma unroll
    for (int i = 0; i < kQuadsOfThread; ++i) {
      if (local_quad(i) >= p_.tile_quads) break;  // no warp reads them
      const int64_t corner = pixel_[i] * pixel_bytes + channel * int64_t{sizeof(T)};
#pragma unroll
      for (int phase = 0; phase < 4; ++phase) {
        const int64_t offset = (phase / 2 * int64_t{p_.grid_width} + phase % 2) * pixel_bytes;
        copy(stage + (phase * Traits::kQuads + local_quad(i)) * Traits::kCellPitch + vector * 16,
             source, corner + offset,
             (inside_ >> (4 * i + phase) & 1) != 0 && channel < input.channels);
      }
    }
  }

  __device__ __forceinline__ void load_low(uint32_t stage, int32_t first_channel) const {
    const Segment& input = low_input();
    const int32_t vector = LaneCell<Traits>().vector;
    const int32_t channel = first_channel + vector * kElements;
#pragma unroll
    for (int i = 0; i < kQuadsOfThread; ++i) {
      if (local_quad(i) >= p_.tile_quads) break;
      const int64_t quad = place_.quad + local_quad(i);
      copy(stage + local_quad(i) * Traits::kCellPitch + vector * 16,
           static_cast<const char*>(input.source), (quad * input.channels + channel) * sizeof(T),
           (inside_ >> 4 * i & 1) != 0 && channel < input.channels);
    }
  }

  // Of both parts' columns, as far as the item has any.
  __device__ __forceinline__ void load_weight(uint32_t to, bool low_input,
                                              int32_t first_channel) const {
    const int32_t channels = (low_input ? this->low_input() : high_input()).channels;
    constexpr int kRowVectors = Traits::kColumns / kElements;
    constexpr int kCopies = Traits::kWeightCopies;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      int32_t n, channel;
      uint32_t address;
      if constexpr (Traits::kTransposed) {
        const int32_t vector = ptx::thread_x() + i * Traits::kThreads;
        n = vector % kRowVectors * kElements;
        channel = first_channel + vector / kRowVectors;
        address = vector / kRowVectors * Traits::kWeightPitch + n * sizeof(T);
      } else {
        n = local_quad(i);  // columns are dealt as quads are
        channel = first_channel + LaneCell<Traits>().vector * kElements;
        address = n * Traits::kWeightPitch + LaneCell<Traits>().vector * 16;
      }
      const bool low = n >= Traits::kPartColumns;
      const int32_t column = place_.column + n % Traits::kPartColumns;
      const int32_t columns = low ? p_.low.columns : p_.high.columns;
      if (!Traits::kTransposed && place_.column >= columns) continue;  // all lanes of a warp
      // Each program's segments are in the order of its products.
      const void* weight = low ? p_.low.segment[low_input ? 1 : 0].weight
                               : p_.high.segment[low_input ? 0 : 1].weight;
      const int64_t offset =
          Traits::kTransposed ? channel * p_.weight_row + column : column * p_.weight_row + channel;
      copy(to + address, static_cast<const char*>(weight), offset * int64_t{sizeof(T)},
           column < columns && channel < channels);
    }
  }

  const Forward1x1Params& p_;
  uint32_t memory_;
  int32_t item_, chunk_ = 0;  // to be loaded next
  int32_t filling_ = 0, reading_ = 0;
  ItemPlace place_;
  int64_t pixel_[kQuadsOfThread];  // of the high map, each quad's first one
  uint32_t inside_;                // four bits to a quad, one for each phase
};

}  // namespace octconv
