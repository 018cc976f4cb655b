// How the quads of a stage of weight_grad_1x1_sm80 come into shared memory: by asynchronous copies
// alone, 16 bytes to a thread. The four pixels of a quad lie one behind the other.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "params/weight_grad_1x1_sm80.h"

namespace octconv {

__device__ __forceinline__ bool maps_are_whole(const JointGradParams& p) {
  return (p.height | p.width) % 2 == 0;
}

// A quad in the high maps.
struct QuadPixels {
  int64_t first;       // of all pixels
  bool below, beside;  // whether it has these
  bool inside;

  __device__ __forceinline__ QuadPixels(const JointGradParams& p, int32_t quad) {
    const int32_t row = p.by_quad_width.quotient(quad), x = 2 * (quad - row * p.quad_width);
    const int32_t image = p.by_quad_height.quotient(row), y = 2 * (row - image * p.quad_height);
    first = int64_t{image * p.height + y} * p.width + x;
    below = y + 1 < p.height, beside = x + 1 < p.width;
    inside = quad < p.quads;
  }
};

// Copies cells of kChannels channels from `channel` on. The threads of a block share a cell's
// vectors, then quads, then, where quads are few, phases.
template <typename Traits, int kChannels>
struct QuadCopier {
  using T = typename Traits::T;
  static constexpr int kSize = sizeof(T), kVectors = kChannels * kSize / 16;
  static constexpr int kPitch = kChannels * kSize + 16;
  static constexpr int kSlots = Traits::kThreads / kVectors;
  static constexpr int kQuadStep = kSlots < Traits::kQuads ? kSlots : Traits::kQuads;
  static constexpr int kPhaseStep = kSlots / kQuadStep;
  static_assert(Traits::kQuads % kQuadStep == 0 && 4 % kPhaseStep == 0);

  int32_t quad, phase, vector;  // the thread's first ones
  int32_t channel;

  __device__ __forceinline__ explicit QuadCopier(int32_t first_channel) {
    const int32_t slot = ptx::thread_x() / kVectors;
    vector = ptx::thread_x() % kVectors;
    quad = slot % kQuadStep, phase = slot / kQuadStep;
    channel = first_channel + vector * (16 / kSize);
  }
  __device__ __forceinline__ const char* source(const PixelMap& map) const {
    return static_cast<const char*>(map.source) + int64_t{channel} * kSize;
  }

  __device__ __forceinline__ void copy_high(const JointGradParams& p, const PixelMap& map,
                                            int32_t first_quad, uint32_t to) const {
    const bool has_channels = channel < map.channels;
    const int64_t pixel_bytes = map.channels * kSize, row_bytes = p.width * pixel_bytes;
    to += (4 * quad + phase) * kPitch + vector * 16;
#pragma unroll
    for (int i = 0; i < Traits::kQuads; i += kQuadStep) {
      const QuadPixels pixels(p, first_quad + quad + i);
      const bool inside = has_channels && pixels.inside;
      const char* from = source(map) + pixels.first * pixel_bytes;
#pragma unroll
      for (int j = 0; j < 4; j += kPhaseStep) {
        const bool below = (phase + j) / 2 != 0, beside = (phase + j) % 2 != 0;
        const bool there = inside && (!below || pixels.below) && (!beside || pixels.beside);
        ptx::copy_async(to + (4 * i + j) * kPitch,
                        from + (below ? row_bytes : 0) + (beside ? pixel_bytes : 0),
                        there ? 16 : 0);
      }
    }
  }

  __device__ __forceinline__ void copy_low(const JointGradParams& p, const PixelMap& map,
                                           int32_t first_quad, uint32_t to) const {
    if (phase > 0) return;
    const int64_t pixel_bytes = map.channels * kSize;
    const int32_t first = first_quad + quad;
    const char* from = source(map) + first * pixel_bytes;
    to += quad * kPitch + vector * 16;
#pragma unroll
    for (int i = 0; i < Traits::kQuads; i += kQuadStep) {
      const bool inside = channel < map.channels && first + i < p.quads;
      ptx::copy_async(to + i * kPitch, from + i * pixel_bytes, inside ? 16 : 0);
    }
  }
};

}  // namespace octconv
