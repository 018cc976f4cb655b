// What single threads of forward_1x1_sm90 load by tensor maps, in the order in which it is
// multiplied. Channels and pixels that are not there are zeros.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "block_1x1.cuh"
#include "device/sm90/tensor_copy.cuh"

namespace octconv::sm90 {

// The maps of all that a block may copy and store, by one thread.
__device__ __forceinline__ void prefetch_maps(const JointSm90Params& p) {
  for (int plane = 0; plane < kPlanes; ++plane) {
    const Octave octave = octave_of(plane);
    if (p.channels_in[octave] > 0) ptx::prefetch_map(&p.in[plane]);
    if (p.channels_out[octave] > 0) ptx::prefetch_map(&p.out[plane]);
    if (p.has_residual[octave]) ptx::prefetch_map(&p.residual[plane]);
  }
  for (const Octave to : {kHigh, kLow}) {
    for (const Octave from : {kHigh, kLow}) {
      if (p.channels_out[to] > 0 && p.channels_in[from] > 0) {
        ptx::prefetch_map(&p.weight[to][from]);
      }
    }
  }
}

// All chunks of the low input, then those of the high one, four phases each; then the residuals of
// all that the warpgroups store, in the order in which they do.
template <typename Traits>
struct JointLoader {
  const JointSm90Params& p;
  JointItem item[Traits::kRowGroups];

  __device__ __forceinline__ JointLoader(const JointSm90Params& params, int32_t index) : p(params) {
#pragma unroll
    for (int group = 0; group < Traits::kRowGroups; ++group) {
      item[group] = JointItem::of<Traits>(p, index, group);
    }
  }

  __device__ __forceinline__ void load(BufferRing& ring, const TensorMap (&maps)[kPlanes],
                                       int plane, int32_t channel, int channels) const {
    ptx::wait_barrier(ring.empty(), ring.parity ^ 1);
    ptx::arrive_expecting(ring.full(), Traits::kRowGroups * p.box.cells() * channels * 2);
#pragma unroll
    for (int group = 0; group < Traits::kRowGroups; ++group) {
      ptx::copy_box(ring.buffer() + group * Traits::kGroupBox, &maps[plane], ring.full(), channel,
                    item[group].x, item[group].y, item[group].image_of(p, plane));
    }
    ring.advance();
  }

  __device__ __forceinline__ void load_inputs(BufferRing& ring) const {
    const ChunkRange& chunks = own_chunks(p.chunks);
#pragma unroll 1
    for (int32_t chunk = chunks.begin[kLow]; chunk < chunks.end[kLow]; ++chunk) {
      load(ring, p.in, kLowPlane, chunk * kSm90Chunk, kSm90Chunk);
    }
#pragma unroll 1
    for (int32_t chunk = chunks.begin[kHigh]; chunk < chunks.end[kHigh]; ++chunk) {
#pragma unroll 1
      for (int phase = 0; phase < kLowPlane; ++phase) {
        load(ring, p.in, phase, chunk * kSm90Chunk, kSm90Chunk);
      }
    }
  }

  // Of the planes that this block stores.
  __device__ __forceinline__ void load_residuals(BufferRing& ring) const {
    const int32_t column = item[0].column_tile * Traits::kColumnGroups * Traits::kColumns;
#pragma unroll 1
    for (int plane = 0; plane < kPlanes; ++plane) {
      if (!p.has_residual[octave_of(plane)] || !has_unit(own_units(p.units), plane)) continue;
#pragma unroll 1
      for (int group = 0; group < Traits::kColumnGroups; ++group) {
        load(ring, p.residual, plane, column + group * Traits::kColumns, Traits::kColumns);
      }
    }
  }
};

// By a whole warp. Residuals of a tile that is split come where the splits have been added up.
template <typename Traits>
__device__ __forceinline__ void load_boxes(const JointSm90Params& p, BufferRing ring) {
  const bool has_residuals = p.has_residual[kHigh] || p.has_residual[kLow];
  const int32_t step = item_step(p);
  for (int32_t index = first_item(p); index < p.items; index += step) {
    const JointLoader<Traits> loader(p, index);
    if (ptx::lane() == 0) loader.load_inputs(ring);
    if constexpr (!Traits::kTransposed) {
      if (p.splits > 1 && has_residuals) wait_for_added_splits();
      if (ptx::lane() == 0) loader.load_residuals(ring);
    }
  }
}

// A slot has the rows of both octaves, for one group of columns behind the other. Those of an
// absent one are left out. Of blocks that share the weight each loads some for all, when all have
// multiplied what was in the slot.
template <typename Traits>
__device__ __forceinline__ void load_slots(const JointSm90Params& p, BufferRing ring) {
  const ChunkRange& chunks = own_chunks(p.chunks);
  const int32_t step = item_step(p);
  for (int32_t index = first_item(p); index < p.items; index += step) {
    const int32_t first = index % p.columns * Traits::kColumnGroups * Traits::kColumns;
    const int octaves = p.channels_out[kLow] > 0 ? 2 : 1;
#pragma unroll 1
    for (int32_t i = 0; i < chunks.count(kLow) + chunks.count(kHigh); ++i) {
      const Octave from = i < chunks.count(kLow) ? kLow : kHigh;
      const int32_t chunk = from == kLow ? i : i - chunks.count(kLow);
      const int32_t channel = (chunks.begin[from] + chunk) * kSm90Chunk;
      ptx::wait_barrier(ring.empty(), ring.parity ^ 1);
      ptx::arrive_expecting(ring.full(), Traits::kSlot / 2 * octaves);
      uint32_t turn = i;  // by rank modulo kSharers, who loads a part for all
#pragma unroll 1
      for (int part = 0; part < 2 * Traits::kColumnGroups; part += 3 - octaves) {
        const int32_t column = first + part / 2 * Traits::kColumns;
        const uint32_t to = ring.buffer() + part * Traits::kPart;
        const TensorMap* map = &p.weight[part % 2][from];
        const int32_t c0 = Traits::kTransposed ? column : channel;
        const int32_t c1 = Traits::kTransposed ? channel : column;
        if (p.sharers == 1) {
          ptx::copy_box(to, map, ring.full(), c0, c1, 0, 0);
        } else if (turn++ % kSharers == ptx::cluster_rank()) {
          ptx::copy_box_to_all(to, map, ring.full(), kAllSharers, c0, c1, 0, 0);
        }
      }
      ring.advance();
    }
    if (p.weights_stay) return;
  }
}

}  // namespace octconv::sm90
