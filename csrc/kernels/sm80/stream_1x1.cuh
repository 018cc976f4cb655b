// What a block of forward_1x1_sm80 loads: the chunks of all its items as one stream. Loads run
// ahead across the borders of items, so that those of the next one are under way while the results
// of the last are stored.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "halo.cuh"
#include "params/forward_1x1_sm80.h"
#include "store_1x1.cuh"
#include "wait_copies.cuh"

namespace octconv {

template <typename Traits>
class ChunkStream {
 public:
  // Begins to load the items of this block into stages from `memory` on.
  __device__ __forceinline__ ChunkStream(const Forward1x1Params& p, uint32_t memory)
      : p_(p),
        begin_(memory),
        end_(memory + p.stages * Traits::kStageBytes),
        filling_(memory),
        reading_(memory),
        item_(ptx::block_x()) {
    const LaneCell<Traits> lane;
    const int32_t cell = local_quad();
    cell_ = cell * Traits::kCellPitch + lane.vector * 16;
    channel_ = lane.vector * kElements;
    if constexpr (Traits::kTransposed) {
      weight_row_ = ptx::thread_x() / kRowVectors;
      weight_ = weight_row_ * Traits::kWeightPitch + ptx::thread_x() % kRowVectors * 16;
    } else {
      weight_row_ = 0;
      weight_ = cell_;  // rows of the weight are dealt as quads are
    }
#pragma unroll 1
    for (int32_t i = 1; i < p.stages; ++i) load();
  }

  // The stage that holds the next chunk, which has landed. The one before is filled again.
  __device__ __forceinline__ uint32_t next() {
    wait_copies_but(p_.stages - 2);
    ptx::sync_block();
    load();
    const uint32_t stage = reading_;
    reading_ = after(reading_);
    return stage;
  }

 private:
  using T = typename Traits::T;
  static constexpr int kSize = sizeof(T), kElements = 16 / kSize;
  // A thread loads the same 16 bytes of every kQuads / kQuadsOfThread-th quad, in all phases.
  static constexpr int kQuadStride = Traits::kWarps * LaneCell<Traits>::kCells;
  static constexpr int kQuadsOfThread = Traits::kQuads / kQuadStride;
  // Of the weight, rows that lie equally far apart: of columns, or, transposed, of channels.
  static constexpr int kRowVectors = Traits::kColumns / kElements;  // transposed
  static constexpr int kCopies = Traits::kWeightCopies;
  static constexpr int kRowStride =
      Traits::kTransposed ? Traits::kThreads / kRowVectors : kQuadStride;
  static constexpr int kWeights = Traits::kTransposed ? 1 : kCopies;  // that have own addresses

  __device__ __forceinline__ uint32_t after(uint32_t stage) const {
    return stage + Traits::kStageBytes == end_ ? begin_ : stage + Traits::kStageBytes;
  }
  // The low input's chunks come first.
  __device__ __forceinline__ const Segment& low_input() const { return p_.high.segment[0]; }
  __device__ __forceinline__ const Segment& high_input() const { return p_.high.segment[1]; }
  __device__ __forceinline__ int32_t weight_row_bytes() const {
    return static_cast<int32_t>(p_.weight_row) * kSize;
  }
  // The first of them.
  static __device__ __forceinline__ int32_t local_quad() {
    return ptx::thread_x() / 32 * LaneCell<Traits>::kCells + LaneCell<Traits>().cell;
  }

  // The next chunk of the stream, if there is one, and the end of a group of copies.
  __device__ __forceinline__ void load() {
    if (item_ < p_.items) {
      if (chunk_ == 0) begin_item();
      const int32_t low_chunks = p_.high.chunks[0];
      if (chunk_ < low_chunks) {
        load_low(chunk_ * Traits::kChunk);
      } else {
        load_high((chunk_ - low_chunks) * Traits::kChunk);
      }
      if (++chunk_ == p_.high.chunks[0] + p_.high.chunks[1]) {
        chunk_ = 0;
        item_ += ptx::blocks_x();
      }
    }
    ptx::commit_copies();
    filling_ = after(filling_);
  }

  // Finds this thread's pixels and columns once for all chunks.
  __device__ __forceinline__ void begin_item() {
    const ItemPlace place = ItemPlace::of<Traits>(p_, item_);
    const int32_t local = local_quad(), first = place.quad + local;
    const char* low = static_cast<const char*>(low_input().source) + channel_ * kSize;
    const char* high = static_cast<const char*>(high_input().source) + channel_ * kSize;
    low_ = low + int64_t{first} * (low_input().channels * kSize);
    const int64_t pixel_bytes = high_input().channels * kSize;
    inside_ = 0;
#pragma unroll
    for (int i = 0; i < kQuadsOfThread; ++i) {
      const Pixel quad = quad_pixel(p_, first + i * kQuadStride);
      high_[i] = high + first_pixel(p_, quad) * pixel_bytes;
      const bool inside = quad.inside && local + i * kQuadStride < p_.tile_quads;
      inside_ |= (inside ? phases_inside(p_, quad) : 0) << 4 * i;
    }
    columns_inside_ = 0;
#pragma unroll
    for (int i = 0; i < kWeights; ++i) {
      const int32_t n = weight_column(i), column = place.column + n % Traits::kPartColumns;
      columns_inside_ |= (column < (is_low(n, i) ? p_.low : p_.high).columns ? 1u : 0) << i;
      weights_[i] = Traits::kTransposed ? int64_t{weight_row_} * weight_row_bytes() + column * kSize
                                        : int64_t{column} * weight_row_bytes() + channel_ * kSize;
    }
  }

  // The column, of both parts', that the thread begins to load the weight of with its i-th copy.
  static __device__ __forceinline__ int32_t weight_column(int i) {
    if (Traits::kTransposed) return ptx::thread_x() % kRowVectors * kElements;
    return row_column<Traits>(local_quad() % kQuadStride) + i * kQuadStride;
  }
  // Whether that is one of the low part, which comes behind the high one.
  static __device__ __forceinline__ bool is_low(int32_t column, int i) {
    constexpr bool kSame = !Traits::kTransposed && kQuadStride <= Traits::kPartColumns;
    return (kSame ? i * kQuadStride : column) >= Traits::kPartColumns;
  }

  // All phases of a thread's quads. Whether a copy reads is told by its size, without branches.
  __device__ __forceinline__ void load_high(int32_t first_channel) {
    const int32_t left = high_input().channels - first_channel;
    const uint32_t inside = channel_ < left ? inside_ : 0;
    const int64_t pixel_bytes = high_input().channels * kSize;
    const int64_t row_bytes = p_.grid_width * pixel_bytes;
#pragma unroll
    for (int i = 0; i < kQuadsOfThread; ++i) {
#pragma unroll
      for (int phase = 0; phase < 4; ++phase) {
        const char* source = high_[i] + (phase / 2 ? row_bytes : 0) + (phase % 2 ? pixel_bytes : 0);
        const int cell = phase * Traits::kQuads + i * kQuadStride;
        ptx::copy_async(filling_ + cell_ + cell * Traits::kCellPitch, source,
                        (inside & 1u << (4 * i + phase)) != 0 ? 16 : 0);
      }
      high_[i] += Traits::kChunkBytes;
    }
    load_weight(p_.high.segment[1], p_.low.segment[0], first_channel, left);
  }

  __device__ __forceinline__ void load_low(int32_t first_channel) {
    const int32_t left = low_input().channels - first_channel;
    const uint32_t inside = channel_ < left ? inside_ : 0;
    const int64_t stride = int64_t{kQuadStride * kSize} * low_input().channels;
#pragma unroll
    for (int i = 0; i < kQuadsOfThread; ++i) {
      ptx::copy_async(filling_ + cell_ + i * kQuadStride * Traits::kCellPitch, low_ + i * stride,
                      (inside & 1u << 4 * i) != 0 ? 16 : 0);
    }
    low_ += Traits::kChunkBytes;
    load_weight(p_.high.segment[0], p_.low.segment[1], first_channel, left);
  }

  // Of both parts' columns, from a channel of an input on. left: how many there are from there on.
  __device__ __forceinline__ void load_weight(const Segment& high, const Segment& low,
                                              int32_t first_channel, int32_t left) const {
    const int64_t chunk =
        int64_t{first_channel} * (Traits::kTransposed ? weight_row_bytes() : kSize);
    const uint32_t to = filling_ + Traits::kCellsBytes + weight_;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int of = Traits::kTransposed ? 0 : i;
      const bool is_low = this->is_low(weight_column(i), i);
      const char* source =
          static_cast<const char*>((is_low ? low : high).weight) + chunk + weights_[of];
      bool inside = (columns_inside_ & 1u << of) != 0;
      if constexpr (Traits::kTransposed) {
        source += int64_t{i * kRowStride} * weight_row_bytes();
        inside &= weight_row_ + i * kRowStride < left;
      } else {
        inside &= channel_ < left;
      }
      ptx::copy_async(to + i * kRowStride * Traits::kWeightPitch, source, inside ? 16 : 0);
    }
  }

  const Forward1x1Params& p_;
  uint32_t begin_, end_;              // of the stages
  uint32_t filling_, reading_;        // the stages that are next
  int32_t item_, chunk_ = 0;          // to be loaded next
  uint32_t cell_, weight_;            // the thread's first 16 bytes in a stage
  int32_t channel_, weight_row_;      // of a chunk, where they begin
  uint32_t inside_;                   // four bits to a quad, one for each phase
  uint32_t columns_inside_;           // a bit for each of weights_
  const char* low_;                   // the thread's next bytes: of its first quad
  const char* high_[kQuadsOfThread];  // and of each quad's first pixel
  int64_t weights_[kWeights];         // bytes from a part's weight for an input to the thread's
};

}  // namespace octconv
