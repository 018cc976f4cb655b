// The fused octave convolution for Hopper, with or without an epilogue, or its input gradient: 1x1
// kernels at stride 1. A tile gives the high and the low results of its quads, and each pixel is
// read once. In a block one warpgroup loads, by tensor maps, and two multiply straight from shared
// memory.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "device/sm90/grid.cuh"
#include "sm90/block_1x1.cuh"
#include "sm90/load_1x1.cuh"
#include "sm90/multiply_1x1.cuh"
#include "sm90/store_1x1.cuh"
#include "sm90/sums_1x1.cuh"

namespace octconv {

template <typename Traits>
__device__ __forceinline__ void multiply_joint(const JointSm90Params& p,
                                               const sm90::JointMemory<Traits>& memory,
                                               int32_t warpgroup) {
  using T = typename Traits::T;
  const int32_t row_group = Traits::kRowGroups == 2 ? warpgroup : 0;
  const int32_t column_group = Traits::kColumnGroups == 2 ? warpgroup : 0;
  sm90::BufferRing boxes = memory.boxes, slots = memory.slots;
  sm90::JointStore<Traits> out(memory, warpgroup);
  sm90::JointSums<Traits> sum;
  const int32_t step = sm90::item_step(p);
#pragma unroll 1
  for (int32_t index = sm90::first_item(p); index < p.items; index += step) {
    const auto item = sm90::JointItem::of<Traits>(p, index, row_group);
    const int32_t column =
        (item.column_tile * Traits::kColumnGroups + column_group) * Traits::kColumns;
    if (p.weights_stay) slots = memory.slots;
    sm90::begin_joint<T>(sum[sm90::kLastPhase], p, kHigh, column);
    sm90::begin_joint<T>(sum[kLowPlane], p, kLow, column);
    float pixel_share[2];
    sm90::find_shares(pixel_share, p, item);
    sm90::multiply_input<Traits, kLow>(p, sum, boxes, slots, row_group, column_group);
    sm90::spread_low<Traits>(sum, pixel_share);
    sm90::multiply_input<Traits, kHigh>(p, sum, boxes, slots, row_group, column_group);
    if constexpr (!Traits::kTransposed) sm90::scale_rows(sum[kLowPlane], pixel_share);
    if (p.splits > 1) {
      const uint32_t thread = ptx::thread_x() - sm90::kWarpgroupThreads;
      sm90::add_splits<Traits::kColumns / 2>(sum, p.splits, sm90::own_units(p.units),
                                             memory.boxes.memory, thread);
    }
    if constexpr (!Traits::kTransposed) {
      if (p.scale) {
        out.template store<true>(p, sum, item, column, boxes);
        continue;
      }
    }
    out.template store<false>(p, sum, item, column, boxes);
  }
  out.finish();
  if (p.sharers > 1) sm90::meet_cluster();  // a block's barriers stay until all have told them
}

// Compiled for other targets it is empty, and the launcher never starts it.
template <typename Traits>
__global__ void __launch_bounds__(kJointThreads, 1)
    forward_1x1_sm90(const __grid_constant__ JointSm90Params p) {
  if constexpr (ptx::kHopper) {
    ptx::SharedMemory shared;
    const sm90::JointMemory<Traits> memory(p, shared.take(Traits::shared_bytes(p.boxes, p.slots)));
    if (ptx::thread_x() == 0) {
      memory.boxes.init(sm90::kMultiplierWarps);
      memory.slots.init(sm90::kMultiplierWarps * p.sharers);
      ptx::fence_barriers();
    }
    if (ptx::thread_x() == 32) sm90::prefetch_maps(p);
    ptx::sync_block();
    if (p.sharers > 1) sm90::meet_cluster();  // others tell a block's barriers from now on
    ptx::wait_for_prerequisites();
    ptx::launch_dependents();
    const uint32_t warpgroup = ptx::shuffle(ptx::thread_x() / 128, 0);
    if (warpgroup == 0) {
      ptx::give_registers<kJointLoaderRegisters>();
      if (ptx::thread_x() < 32) sm90::load_boxes<Traits>(p, memory.boxes);
      if (ptx::thread_x() == 32) sm90::load_slots<Traits>(p, memory.slots);
    } else {
      ptx::take_registers<kJointMultiplierRegisters>();
      multiply_joint<Traits>(p, memory, static_cast<int32_t>(warpgroup) - 1);
    }
  }
}

}  // namespace octconv
