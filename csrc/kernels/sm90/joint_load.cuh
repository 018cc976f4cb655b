// What single threads of forward_1x1_sm90 load by tensor maps, in the order in which it is
// multiplied. Channels and pixels that are not there are zeros.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/tensor_copy.cuh"
#include "joint_block.cuh"

namespace octconv::sm90 {

// All chunks of the low input, then those of the high one, four phases each; then the residuals of
// all that the warpgroups store, in the order in which they do.
template <typename Traits>
__device__ __forceinline__ void load_boxes(const JointSm90Params& p, BufferRing ring) {
  const uint32_t pixels = Traits::kRowGroups * p.box.cells();
  for (int32_t index = ptx::block_x(); index < p.items; index += ptx::blocks_x()) {
    JointItem item[Traits::kRowGroups];
#pragma unroll
    for (int group = 0; group < Traits::kRowGroups; ++group) {
      item[group] = JointItem::of<Traits>(p, index, group);
    }
    const auto load = [&](const TensorMap& map, int32_t channel, int phase, int channels) {
      ptx::wait_barrier(ring.empty(), ring.parity ^ 1);
      ptx::arrive_expecting(ring.full(), pixels * channels * 2);
#pragma unroll
      for (int group = 0; group < Traits::kRowGroups; ++group) {
        const int32_t image = item[group].image_of(p, phase);
        ptx::copy_box(ring.buffer() + group * Traits::kGroupBox, &map, ring.full(), channel,
                      item[group].x, item[group].y, image);
      }
      ring.advance();
    };
#pragma unroll 1
    for (int32_t chunk = 0; chunk < p.chunks[kLow]; ++chunk) {
      load(p.in_low, chunk * kSm90Chunk, 0, kSm90Chunk);
    }
#pragma unroll 1
    for (int32_t chunk = 0; chunk < p.chunks[kHigh]; ++chunk) {
#pragma unroll 1
      for (int phase = 0; phase < 4; ++phase) {
        load(p.in_phase[phase], chunk * kSm90Chunk, phase, kSm90Chunk);
      }
    }
    if constexpr (Traits::kEpilogue) {
      const int32_t column = item[0].column_tile * Traits::kColumnGroups * Traits::kColumns;
#pragma unroll 1
      for (int part = 0; part < kLowSums + 1; ++part) {
        const bool low = part == kLowSums;
        if (!p.has_residual[low ? kLow : kHigh]) continue;
#pragma unroll 1
        for (int group = 0; group < Traits::kColumnGroups; ++group) {
          load(low ? p.residual_low : p.residual_phase[part], column + group * Traits::kColumns,
               low ? 0 : part, Traits::kColumns);
        }
      }
    }
  }
}

// A slot has the rows of both octaves, for one group of columns behind the other. Those of an
// absent one are left out.
template <typename Traits>
__device__ __forceinline__ void load_slots(const JointSm90Params& p, BufferRing ring) {
  for (int32_t index = ptx::block_x(); index < p.items; index += ptx::blocks_x()) {
    const int32_t first = index % p.columns * Traits::kColumnGroups * Traits::kColumns;
    const int octaves = p.channels_out[kLow] > 0 ? 2 : 1;
#pragma unroll 1
    for (int32_t i = 0; i < p.chunks[kLow] + p.chunks[kHigh]; ++i) {
      const Octave from = i < p.chunks[kLow] ? kLow : kHigh;
      const int32_t channel = (from == kLow ? i : i - p.chunks[kLow]) * kSm90Chunk;
      ptx::wait_barrier(ring.empty(), ring.parity ^ 1);
      ptx::arrive_expecting(ring.full(), Traits::kSlot / 2 * octaves);
#pragma unroll 1
      for (int part = 0; part < 2 * Traits::kColumnGroups; part += 3 - octaves) {
        const int32_t column = first + part / 2 * Traits::kColumns;
        ptx::copy_box(ring.buffer() + part * Traits::kPart, &p.weight[part % 2][from], ring.full(),
                      Traits::kTransposed ? column : channel,
                      Traits::kTransposed ? channel : column, 0, 0);
      }
      ring.advance();
    }
    if (p.weights_stay) return;
  }
}

}  // namespace octconv::sm90
