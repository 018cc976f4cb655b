// Planted bugs: cp.async.
#pragma once

#include "planted/params.cuh"

namespace octconv::planted {

// Word 0 of what the other warp copied into a stage of 64 times 16 bytes.
__device__ __forceinline__ uint32_t from_other_warp(uint32_t stage) {
  return stage + 16 * (63 - ptx::thread_x());
}

// The second of two groups is read, but only the first is waited for.
template <bool kBroken>
__global__ void wait_one_group_short(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t stages = shared.take(2 * 1024), thread = ptx::thread_x();
  for (uint32_t i = 0; i < 2; ++i) {
    ptx::copy_async(stages + i * 1024 + 16 * thread, p.in + i * 256 + 4 * thread);
    ptx::commit_copies();
  }
  ptx::wait_copies<kBroken ? 1 : 0>();
  ptx::sync_block();
  uint32_t value;
  ptx::load_shared(value, from_other_warp(stages + 1024));
  ptx::store_global(p.out + thread, value);
}

// A copy that belongs to no group is waited for by nobody.
template <bool kBroken>
__global__ void missing_commit(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t stage = shared.take(1024), thread = ptx::thread_x();
  ptx::copy_async(stage + 16 * thread, p.in + 4 * thread);
  if (!kBroken) ptx::commit_copies();
  ptx::wait_copies<0>();
  ptx::sync_block();
  uint32_t value;
  ptx::load_shared(value, from_other_warp(stage));
  ptx::store_global(p.out + thread, value);
}

// wait_copies speaks of the thread's own copies only.
template <bool kBroken>
__global__ void wait_without_barrier(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t stage = shared.take(1024), thread = ptx::thread_x();
  ptx::copy_async(stage + 16 * thread, p.in + 4 * thread);
  ptx::commit_copies();
  ptx::wait_copies<0>();
  if (!kBroken) ptx::sync_block();
  uint32_t value;
  ptx::load_shared(value, from_other_warp(stage));
  ptx::store_global(p.out + thread, value);
}

// A ring of two stages. A stage is filled anew while the other warp may still read it.
template <bool kBroken>
__global__ void refill_before_barrier(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t stages = shared.take(2 * 1024), thread = ptx::thread_x();
  const auto fill = [&](uint32_t chunk) {
    if (chunk < 4) {
      ptx::copy_async(stages + chunk % 2 * 1024 + 16 * thread, p.in + chunk * 256 + 4 * thread);
    }
    ptx::commit_copies();
  };
  float sum = 0;
  fill(0);
  fill(1);
  for (uint32_t chunk = 0; chunk < 4; ++chunk) {
    ptx::wait_copies<1>();
    ptx::sync_block();
    uint32_t value;
    ptx::load_shared(value, from_other_warp(stages + chunk % 2 * 1024));
    sum += ptx::as_float(value);
    if (!kBroken) ptx::sync_block();
    fill(chunk + 2);
  }
  ptx::store_global(p.out + thread, ptx::as_bits(sum));
}

// The last thread copies what lies behind the tensor.
template <bool kBroken>
__global__ void copy_past_tensor(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t stage = shared.take(1024), thread = ptx::thread_x();
  const float* last = p.in + kInputs - 256;
  ptx::copy_async(stage + 16 * thread, last + 4 * (thread + kBroken));
  ptx::commit_copies();
  ptx::wait_copies<0>();
  ptx::sync_block();
  uint32_t value;
  ptx::load_shared(value, from_other_warp(stage));
  ptx::store_global(p.out + thread, value);
}

// The last thread copies to where the stage has ended.
template <bool kBroken>
__global__ void copy_past_stage(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t stage = shared.take(1024), thread = ptx::thread_x();
  ptx::copy_async(stage + 16 * (thread + kBroken), p.in + 4 * thread);
  ptx::commit_copies();
  ptx::wait_copies<0>();
  ptx::sync_block();
  uint32_t value;
  ptx::load_shared(value, from_other_warp(stage));
  ptx::store_global(p.out + thread, value);
}

template <bool kBroken>
__global__ void misaligned_copy(const Params p) {
  ptx::SharedMemory shared;
  const uint32_t stage = shared.take(1024), thread = ptx::thread_x();
  ptx::copy_async(stage + 16 * thread, p.in + 4 * thread + kBroken);
  ptx::commit_copies();
  ptx::wait_copies<0>();
  ptx::sync_block();
  uint32_t value;
  ptx::load_shared(value, from_other_warp(stage));
  ptx::store_global(p.out + thread, value);
}

// Rows of 20 bytes avoid bank conflicts but are no target of 16 bytes.
template <bool kBroken>
__global__ void misaligned_copy_target(const Params p) {
  constexpr uint32_t kPitch = kBroken ? 20 : 32;
  ptx::SharedMemory shared;
  const uint32_t rows = shared.take(64 * 32), thread = ptx::thread_x();
  ptx::copy_async(rows + kPitch * thread, p.in + 4 * thread);
  ptx::commit_copies();
  ptx::wait_copies<0>();
  ptx::sync_block();
  uint32_t value;
  ptx::load_shared(value, rows + kPitch * (63 - thread));
  ptx::store_global(p.out + thread, value);
}

}  // namespace octconv::planted
