// Planted bugs: global memory, and a thread's own registers.
#pragma once

#include "device/sm90/grid.cuh"
#include "planted/params.cuh"

namespace octconv::planted {

// The launch before it may still write what it reads: the second warp does not wait for that.
template <bool kBroken>
__global__ void read_before_prerequisites(const Params p) {
  const uint32_t thread = ptx::thread_x();
  if (!kBroken || thread < 32) ptx::wait_for_prerequisites();
  uint32_t value;
  ptx::load_global(value, p.in + thread);
  ptx::store_global(p.out + thread, value);
}

// The launch behind it can start while the one before it still writes.
template <bool kBroken>
__global__ void dependents_before_prerequisites(const Params p) {
  const uint32_t thread = ptx::thread_x();
  if (kBroken) ptx::launch_dependents();
  ptx::wait_for_prerequisites();
  if (!kBroken) ptx::launch_dependents();
  uint32_t value;
  ptx::load_global(value, p.in + thread);
  ptx::store_global(p.out + thread, value);
}

// ld.global.nc of what the launch before it may have written while it ran already.
template <bool kBroken>
__global__ void load_constant_behind_prerequisites(const Params p) {
  const uint32_t thread = ptx::thread_x();
  ptx::wait_for_prerequisites();
  uint32_t value;
  if (kBroken) {
    ptx::load_constant(value, p.in + thread);
  } else {
    ptx::load_global(value, p.in + thread);
  }
  ptx::store_global(p.out + thread, value);
}

template <bool kBroken>
__global__ void past_tensor(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + kInputs - 64 + thread + kBroken);
  ptx::store_global(p.out + thread, value);
}

// The tail of an output is not a whole vector.
template <bool kBroken>
__global__ void past_output(const Params p) {
  const uint32_t thread = ptx::thread_x();
  ptx::Word128 value;
  ptx::load_constant(value, p.in + 4 * thread);
  if (kBroken || thread < 8) {
    ptx::store_global(p.out + 4 * thread, value);
  } else {
    ptx::store_global(p.out + 4 * thread, value.word[0]);
  }
}

template <bool kBroken>
__global__ void output_never_written(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  if (!kBroken || thread != 40) ptx::store_global(p.out + thread, value);
}

// 16 bytes at a multiple of 4.
template <bool kBroken>
__global__ void misaligned_load(const Params p) {
  const uint32_t thread = ptx::thread_x();
  ptx::Word128 value;
  ptx::load_constant(value, p.in + 4 * thread + kBroken);
  ptx::store_global(p.out + thread, value.word[0]);
}

// 8 bytes at a multiple of 4.
template <bool kBroken>
__global__ void misaligned_store(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint64_t pair;
  ptx::load_constant(pair, p.in + 2 * thread);
  ptx::store_global(p.out + 2 * thread + kBroken, pair);
}

template <bool kBroken>
__global__ void writes_input(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  if (kBroken) ptx::store_global(const_cast<float*>(p.in) + thread, 0u);
  ptx::store_global(p.out + thread, value);
}

// ld.global.nc is for memory that no thread writes while the kernel runs.
template <bool kBroken>
__global__ void load_constant_of_written(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  ptx::store_global(p.workspace + thread, value);
  if (kBroken) {
    ptx::load_constant(value, p.workspace + thread);
  } else {
    ptx::load_global(value, p.workspace + thread);
  }
  ptx::store_global(p.out + thread, value);
}

template <bool kBroken>
__global__ void workspace_never_written(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  if (!kBroken || thread != 40) ptx::store_global(p.workspace + thread, value);
  ptx::load_global(value, p.workspace + thread);
  ptx::store_global(p.out + thread, value);
}

// Two blocks of 32 threads. The last one of the first block also writes the second's first element.
template <bool kBroken>
__global__ void two_blocks_one_output(const Params p) {
  const uint32_t first = 32 * ptx::block_x(), thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + first + thread);
  ptx::store_global(p.out + first + thread, value);
  if (kBroken && first + thread == 31) ptx::store_global(p.out + 32, value);
}

// The same within a block, and of equal values.
template <bool kBroken>
__global__ void two_threads_one_output(const Params p) {
  const uint32_t thread = ptx::thread_x();
  uint32_t value;
  ptx::load_constant(value, p.in + thread);
  ptx::store_global(p.out + thread, value);
  if (kBroken && thread == 31) {
    ptx::load_constant(value, p.in + 32);
    ptx::store_global(p.out + 32, value);
  }
}

// Sums the first row of an array in registers, and a zero of the second.
template <bool kBroken>
__global__ void past_register_array(const Params p) {
  const uint32_t thread = ptx::thread_x();
  float rows[2][4] = {};
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t value;
    ptx::load_constant(value, p.in + 4 * thread + i);
    rows[0][i] = ptx::as_float(value);
  }
  float sum = 0;
  const uint32_t end = ptx::threads_x() / 16 + kBroken;  // 4 or 5, as only the launch knows
  for (uint32_t i = 0; i < end; ++i) sum += rows[0][i];
  ptx::store_global(p.out + thread, ptx::as_bits(sum));
}

}  // namespace octconv::planted
