// The results of forward_1x1_sm90 on their way out: rounded into shared memory, and from there by
// tensor maps, which leave out pixels and channels that are not there.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/store_matrix.cuh"
#include "device/sm90/tensor_copy.cuh"
#include "epilogue_1x1.cuh"
#include "multiply_1x1.cuh"

namespace octconv::sm90 {

constexpr uint32_t kWarpgroupThreads = 128;

template <typename Traits>
class JointStore {
 public:
  __device__ __forceinline__ JointStore(const JointMemory<Traits>& memory, int32_t warpgroup)
      : stagings_(memory.stagings + warpgroup * Traits::kStagings * Traits::kStaging),
        barrier_(1 + warpgroup) {}

  // To the columns from `column` on of the boxes of those planes that this block stores. kFinishes:
  // of inference, not scaled yet, residuals in `boxes`.
  template <bool kFinishes>
  __device__ __forceinline__ void store(const JointSm90Params& p, JointSums<Traits>& sum,
                                        const JointItem& item, int32_t column, BufferRing& boxes) {
    JointFactors<Traits> factors;
    const uint32_t units = own_units(p.units);
#pragma unroll
    for (int plane = 0; plane < kPlanes; ++plane) {
      const Octave octave = octave_of(plane);
      if (octave == kLow && p.channels_out[kLow] == 0) return;
      if constexpr (kFinishes) {
        if (plane == 0 || plane == kLowPlane) factors.load(p, octave, column);
      }
      if (!has_unit(units, plane)) continue;
      if constexpr (kFinishes) {
        finish_joint<Traits>(p, sum[plane], octave, column, factors, boxes);
      }
      const uint32_t staging = stagings_ + turn_ * Traits::kStaging;
      write(staging, sum[plane]);
      ptx::fence_shared();
      // What the next plane is written to has been stored before the others go on.
      if (issues()) ptx::wait_stores_read<Traits::kStagings - 2>();
      ptx::sync_named(barrier_, kWarpgroupThreads);
      if (issues() && column < p.channels_out[octave]) {
        ptx::store_box(&p.out[plane], staging, column, item.x, item.y, item.image_of(p, plane));
      }
      if (issues()) ptx::commit_stores();
      if (++turn_ == Traits::kStagings) turn_ = 0;
    }
  }

  // Before the block ends.
  __device__ __forceinline__ void finish() const {
    if (issues()) ptx::wait_stores_read<0>();
  }

 private:
  static __device__ __forceinline__ bool issues() {
    return ptx::thread_x() % kWarpgroupThreads == 0;
  }

  __device__ __forceinline__ void write(uint32_t staging,
                                        const float (&sum)[Traits::kColumns / 2]) const {
    const StagedRow<Traits> row;
#pragma unroll
    for (int j = 0; j < Traits::kColumns / 8; j += 2) {
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int from = 4 * j + 2 * i;
        words[i] = ptx::narrow_pair<typename Traits::T>(sum[from], sum[from + 1]);
      }
      ptx::store_matrix(row.at(staging, j), words);
    }
  }

  const uint32_t stagings_, barrier_;
  int32_t turn_ = 0;
};

}  // namespace octconv::sm90
