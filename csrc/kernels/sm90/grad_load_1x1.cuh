// What the third warpgroup of weight_grad_1x1_sm90 does: one thread copies the boxes, by tensor
// maps, and three warps sum up dy. Channels and pixels that are not there are zeros.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/tensor_copy.cuh"
#include "grad_block_1x1.cuh"
#include "grad_load.cuh"

namespace octconv::sm90 {

template <typename Traits>
__device__ __forceinline__ void load_boxes(const JointGradSm90Params& p,
                                           const JointGradItem<Traits>& item, BufferRing stages) {
  for (int32_t box = item.split; box < p.boxes; box += p.splits, stages.advance()) {
    const BoxPlace at(p, box);
    ptx::wait_barrier(stages.empty(), stages.parity ^ 1);
    ptx::arrive_expecting(stages.full(), Traits::kStage);
    uint32_t to = stages.buffer();
    const auto copy = [&](const TensorMap(&maps)[kPlanes], int32_t channel, int32_t cells) {
#pragma unroll 1
      for (int plane = 0; plane < kPlanes; ++plane) {
        const int32_t image = p.absent >> plane & 1 ? p.batch : at.image;
        for (int32_t cell = 0; cell < cells; ++cell, to += kPlaneBytes) {
          ptx::copy_box(to, &maps[plane], stages.full(), channel + cell * kSm90Chunk, at.x, at.y,
                        image);
        }
      }
    };
    copy(p.dy, item.row, Traits::kRowCells);
    copy(p.x, item.column, Traits::kColumnCells);
  }
}

// What a helper sums up of each plane of dy: 16 bytes of every few pixels, whose addresses are the
// same in all planes. It loads them all before it adds, or it would wait for one after another.
template <typename Traits>
struct HelperWords {
  static constexpr int kVectors = Traits::kRows / 8, kLanes = kGradSm90Helpers / kVectors;
  static constexpr int kWords = (kJointGradQuads + kLanes - 1) / kLanes;
  uint32_t offset[kWords];
  int32_t count;  // the last word may be another plane's: the same for all threads of a warp

  __device__ __forceinline__ explicit HelperWords(int32_t thread) {
    const int32_t vector = thread % kVectors, first = thread / kVectors;
    count = first + (kWords - 1) * kLanes < kJointGradQuads ? kWords : kWords - 1;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      offset[i] = vector / Traits::kChunks * kPlaneBytes +
                  chunk_at<Traits>(first + i * kLanes, vector % Traits::kChunks);
    }
  }

  __device__ __forceinline__ void add(Pooled<typename Traits::T>& sum, uint32_t plane) const {
    ptx::Word128 word[kWords];
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      if (i < count) ptx::load_shared(word[i], plane + offset[i]);
    }
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      if (i < count) sum.add(word[i]);
    }
  }
};

// The sums of dy of the item's rows.
template <typename Traits>
__device__ __forceinline__ void sum_biases(const JointGradSm90Params& p,
                                           const JointGradItem<Traits>& item,
                                           const JointGradMemory<Traits>& memory, int32_t thread) {
  using T = typename Traits::T;
  BufferRing stages = memory.stages;
  const HelperWords<Traits> words(thread);
  Pooled<T> sum[2] = {Pooled<T>(ptx::Word128{}), Pooled<T>(ptx::Word128{})};
  for (int32_t box = item.split; box < p.boxes; box += p.splits, stages.advance()) {
    ptx::wait_barrier(stages.full(), stages.parity);
    uint32_t plane = stages.buffer();
#pragma unroll 1
    for (int phase = 0; phase < 4; ++phase, plane += Traits::kRowCells * kPlaneBytes) {
      words.add(sum[kHigh], plane);
    }
    words.add(sum[kLow], plane);
    hand_over(stages.empty());
  }
#pragma unroll
  for (int octave = 0; octave < 2; ++octave) {
    const WeightGradJob& job = p.job[2 * octave];
    store_bias<Traits::kRows>(p, job, item.of_job(job), item.row, sum[octave],
                              memory.sums + octave * Traits::kHelperSums, thread);
  }
}

}  // namespace octconv::sm90
