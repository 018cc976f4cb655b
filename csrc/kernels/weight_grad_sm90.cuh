// The fused weight gradient for Hopper, for 3x3 taps at stride 1: a block has all taps of a square
// of one block of the weight. One warpgroup loads, by tensor maps, and pools in shared memory;
// three multiply, one operand in registers and all shifts of the other straight from shared memory.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "sm90/grad_block.cuh"
#include "sm90/grad_load.cuh"
#include "sm90/grad_multiply.cuh"

namespace octconv {

// Compiled for other targets it is empty, and the launcher never starts it.
template <typename Traits>
__global__ void __launch_bounds__(kGradSm90Threads, 1)
    weight_grad_sm90(const __grid_constant__ WeightGradSm90Params p) {
  if constexpr (ptx::kHopper) {
    constexpr int32_t kFirstOfLoaders = 128 * kGradSm90Multipliers;
    constexpr int32_t kFirstOfHelpers = kGradSm90Threads - kGradSm90Helpers;
    ptx::SharedMemory shared;
    const sm90::GradItem item = sm90::GradItem::of<Traits>(p);
    const sm90::GradMemory memory(shared.take(p.shared_bytes), p.more[item.index]);
    const bool with_bias = p.job[item.index].bias && item.column == 0;
    if (ptx::thread_x() == 0) memory.init_barriers(with_bias);
    if (ptx::thread_x() == kFirstOfLoaders) {
      ptx::prefetch_map(&p.fixed[item.index]);
      ptx::prefetch_map(&p.shifted[item.index]);
    }
    ptx::sync_block();
    const auto warpgroup = static_cast<int32_t>(ptx::shuffle(ptx::thread_x() / 128, 0));
    if (warpgroup < kGradSm90Multipliers) {
      ptx::take_registers<kGradSm90MultiplierRegisters>();
      sm90::multiply_grad<Traits>(p, item, memory, warpgroup);
    } else {
      ptx::give_registers<kGradSm90LoaderRegisters>();
      const auto thread = static_cast<int32_t>(ptx::thread_x());
      if (thread == kFirstOfLoaders) sm90::load_grad_tiles<Traits>(p, item, memory.stages);
      if (thread < kFirstOfHelpers) return;
      if (p.more[item.index].pools) {
        sm90::pool_grad_tiles<Traits>(p, item, memory, thread - kFirstOfHelpers);
      } else if (with_bias) {
        sm90::sum_bias<Traits>(p, item, memory, thread - kFirstOfHelpers);
      }
    }
  }
}

}  // namespace octconv
