// The fused weight gradient for Hopper, for kernels of one tap at stride 1: a block does the same
// tile of all four blocks of the weight. One warpgroup loads, by tensor maps; two multiply, x in
// registers, where it is pooled, and dy straight from shared memory.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "sm90/grad_block_1x1.cuh"
#include "sm90/grad_load_1x1.cuh"
#include "sm90/grad_multiply_1x1.cuh"

namespace octconv {

// Compiled for other targets it is empty, and the launcher never starts it.
template <typename Traits>
__global__ void __launch_bounds__(kJointGradThreads, 1)
    weight_grad_1x1_sm90(const __grid_constant__ JointGradSm90Params p) {
  if constexpr (ptx::kHopper) {
    constexpr int32_t kFirstOfLoaders = 128 * kJointGradMultipliers;
    constexpr int32_t kFirstOfHelpers = kJointGradThreads - kGradSm90Helpers;
    ptx::SharedMemory shared;
    const sm90::JointGradMemory<Traits> memory(shared.take(Traits::kSharedBytes));
    const sm90::JointGradItem<Traits> item(p);
    const bool with_bias = p.job[kHighToHigh].bias && item.tile_column == 0;
    const int32_t multipliers = item.multipliers(p);
    if (ptx::thread_x() == 0) {
      memory.stages.init(4 * multipliers + (with_bias ? sm90::kGradHelperWarps : 0));
      ptx::fence_barriers();
    }
    if (ptx::thread_x() == kFirstOfLoaders) {
      for (int plane = 0; plane < kPlanes; ++plane) {
        ptx::prefetch_map(&p.dy[plane]);
        ptx::prefetch_map(&p.x[plane]);
      }
    }
    ptx::sync_block();
    const auto warpgroup = static_cast<int32_t>(ptx::shuffle(ptx::thread_x() / 128, 0));
    if (warpgroup < kJointGradMultipliers) {
      ptx::take_registers<kJointGradMultiplierRegisters>();
      if (warpgroup >= multipliers) return;
      sm90::multiply_joint_grad<Traits>(p, item, memory.stages, warpgroup);
    } else {
      ptx::give_registers<kJointGradLoaderRegisters>();
      const auto thread = static_cast<int32_t>(ptx::thread_x());
      if (thread == kFirstOfLoaders) sm90::load_boxes<Traits>(p, item, memory.stages);
      if (thread >= kFirstOfHelpers && with_bias) {
        sm90::sum_biases<Traits>(p, item, memory, thread - kFirstOfHelpers);
      }
    }
  }
}

}  // namespace octconv
