// The fused octave convolution for Hopper, with or without an epilogue, or its input gradient: 3x3
// taps at stride 1, in one launch whose blocks take tiles of one octave each, some of them then
// high ones. In a block two warpgroups load, by tensor maps and by pooling, and two multiply.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/grid.cuh"
#include "sm90/block.cuh"
#include "sm90/load.cuh"
#include "sm90/multiply.cuh"
#include "sm90/pool.cuh"

namespace octconv {

// Single threads of the first two warps copy; in blocks of low tiles the six others pool.
template <typename Traits>
__device__ __forceinline__ void load_high_tiles(const ForwardSm90Params& p,
                                                const sm90::Memory& memory,
                                                const sm90::Share& share) {
  const int32_t thread = static_cast<int32_t>(ptx::thread_x());
  if (thread == 0) sm90::load_planes<Traits>(p, memory, share);
  if (thread == 32) sm90::load_high_weight<Traits>(p, memory, share);
}

// Calls run(traits, memory) with those of the launch's low tiles.
template <typename Traits, typename Run>
__device__ __forceinline__ void with_low_tiles(const ForwardSm90Params& p, uint32_t address,
                                               const Run& run) {
  for_each_low_sm90<Traits>([&](auto traits) {
    using Low = decltype(traits);
    if (p.low_columns != Low::kLowColumns) return;
    run(traits, sm90::Memory(address, kLow, Low::kLowSlots, Low::kLowSlot));
  });
}

template <typename Traits>
__device__ __forceinline__ void load_low_tiles(const ForwardSm90Params& p, uint32_t address,
                                               const sm90::Share& share) {
  constexpr int32_t kFirstOfPool = 64;
  const sm90::Memory memory(address, kLow);
  const int32_t thread = static_cast<int32_t>(ptx::thread_x());
  if (thread == 0) sm90::load_low_inputs<Traits>(p, memory, share);
  if (thread == 32) {
    with_low_tiles<Traits>(p, address, [&](auto traits, const sm90::Memory& with_slots) {
      sm90::load_low_weight<decltype(traits)>(p, with_slots, share);
    });
  }
  if (thread >= kFirstOfPool) {
    const int32_t warp = (thread - kFirstOfPool) / 32;
    if (sm90_narrow_strips(p.channels_in[kHigh])) {
      sm90::pool_areas<Traits, true>(p, memory, share, warp);
    } else {
      sm90::pool_areas<Traits, false>(p, memory, share, warp);
    }
  }
}

// Where all warps of a block meet that has done its low tiles, before others fill its memory.
constexpr uint32_t kBetweenOctaves = 2;

// Compiled for other targets it is empty, and the launcher never starts it.
template <typename Traits>
__global__ void __launch_bounds__(kSm90Threads, 1)
    forward_sm90(const __grid_constant__ ForwardSm90Params p) {
  if constexpr (ptx::kHopper) {
    ptx::SharedMemory shared;
    const uint32_t address = shared.take(kSm90SharedBytes);
    const sm90::Memory of_high(address, kHigh, kSm90Slots, Traits::kHighSlot);
    if (ptx::thread_x() == 0) {
      const sm90::Share low(p, kLow), high(p, kHigh);
      if (low.first < low.end) sm90::Memory(address, kLow).init_barriers(true);
      if (high.first < high.end) of_high.init_barriers(false);
    }
    if (ptx::thread_x() == 32) sm90::prefetch_maps(p);
    ptx::sync_block();
    ptx::wait_for_prerequisites();
    ptx::launch_dependents();
    const auto between = [&] {
      ptx::sync_warp();
      if (p.late_items > 0) ptx::sync_named(kBetweenOctaves, kSm90Threads);
    };
    const uint32_t warpgroup = ptx::shuffle(ptx::thread_x() / 128, 0);
    if (warpgroup < 2) {
      ptx::give_registers<kSm90LoaderRegisters>();
      load_low_tiles<Traits>(p, address, sm90::Share(p, kLow));
      between();
      load_high_tiles<Traits>(p, of_high, sm90::Share(p, kHigh));
    } else {
      ptx::take_registers<kSm90MultiplierRegisters>();
      const int32_t half = static_cast<int32_t>(warpgroup) - 2;
      with_low_tiles<Traits>(p, address, [&](auto traits, const sm90::Memory& of_low) {
        sm90::multiply_low<decltype(traits)>(p, of_low, sm90::Share(p, kLow), half);
      });
      between();
      sm90::multiply_high<Traits>(p, of_high, sm90::Share(p, kHigh), half);
    }
  }
}

}  // namespace octconv
