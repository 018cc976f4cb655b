// Small kernels that between them call every function of the device layer, each overload: what one
// writes shows all that the function did. The same text runs on a GPU and on its twin.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "dtype.h"
#include "params/forward_sm90.h"

namespace octconv {

constexpr uint32_t kProbeMaps = 2;

struct ProbeParams {
  const void* in;
  void* out;
  uint32_t* counters;  // kProbeCounters zeros
  TensorMap maps[kProbeMaps];
};

constexpr uint32_t kProbeCounters = 64;

namespace probe {

constexpr uint32_t kElements = 65536;  // that a probe of numbers takes: all patterns of 16 bits
constexpr uint32_t kWords = 256;       // that the threads of a probe of the memory copy
constexpr uint32_t kSharedBytes = 2048;

template <typename Word>
__device__ __forceinline__ Word input(const ProbeParams& p, uint32_t index) {
  Word value;
  ptx::load_constant(value, static_cast<const Word*>(p.in) + index);
  return value;
}

template <typename Word>
__device__ __forceinline__ void output(const ProbeParams& p, uint32_t index, Word value) {
  ptx::store_global(static_cast<Word*>(p.out) + index, value);
}

__device__ __forceinline__ uint32_t thread_of_grid() {
  return ptx::block_x() * ptx::threads_x() + ptx::thread_x();
}

constexpr uint32_t kIds = 8;
__global__ void ids(const ProbeParams p) {
  const uint32_t threads = ptx::threads_x() * ptx::threads_y();
  const uint32_t thread = ptx::thread_y() * ptx::threads_x() + ptx::thread_x();
  const uint32_t values[kIds] = {ptx::thread_x(),  ptx::thread_y(),  ptx::threads_x(),
                                 ptx::threads_y(), ptx::block_x(),   ptx::blocks_x(),
                                 ptx::lane(),      ptx::kWarpThreads};
  for (uint32_t i = 0; i < kIds; ++i) {
    output(p, (ptx::block_x() * threads + thread) * kIds + i, values[i]);
  }
}

template <typename Step>
__device__ __forceinline__ void for_elements(uint32_t count, Step step) {
  const uint32_t threads = ptx::blocks_x() * ptx::threads_x();
  for (uint32_t i = thread_of_grid(); i < count; i += threads) step(i);
}

// The bits of a float survive; the sum shows that they are a float's in between.
__global__ void float_bits(const ProbeParams p) {
  for_elements(kElements, [&](uint32_t i) {
    const float value = ptx::as_float(input<uint32_t>(p, i));
    output(p, 2 * i, ptx::as_bits(value));
    output(p, 2 * i + 1, ptx::as_bits(value + value));
  });
}

// The overloads for types that are as wide as their sums.
__global__ void wide_types(const ProbeParams p) {
  for_elements(kElements, [&](uint32_t i) {
    const uint32_t bits = input<uint32_t>(p, i);
    const float value = ptx::as_float(bits);
    float of_float;
    ptx::narrow(of_float, ptx::widen(value));
    double of_double;
    ptx::narrow(of_double, ptx::widen(static_cast<double>(value)));
    TFloat32 of_tfloat;
    ptx::narrow(of_tfloat, ptx::widen(TFloat32{bits}));
    output(p, 3 * i, ptx::as_bits(of_float));
    output(p, 3 * i + 1, ptx::as_bits(static_cast<float>(of_double)));
    output(p, 3 * i + 2, of_tfloat.bits);
  });
}

template <typename T>
__global__ void widen(const ProbeParams p) {
  for_elements(kElements, [&](uint32_t i) {
    output(p, i, ptx::as_bits(ptx::widen(T{input<uint16_t>(p, i)})));
  });
}

template <typename T>
__global__ void narrow(const ProbeParams p) {
  for_elements(kElements, [&](uint32_t i) {
    T value;
    ptx::narrow(value, ptx::as_float(input<uint32_t>(p, i)));
    output(p, i, value.bits);
  });
}

template <typename T>
__global__ void narrow_pair(const ProbeParams p) {
  for_elements(kElements / 2, [&](uint32_t i) {
    const float low = ptx::as_float(input<uint32_t>(p, 2 * i));
    const float high = ptx::as_float(input<uint32_t>(p, 2 * i + 1));
    output(p, i, ptx::narrow_pair<T>(low, high));
  });
}

__global__ void round_tf32(const ProbeParams p) {
  for_elements(kElements,
               [&](uint32_t i) { output(p, i, ptx::round_tf32(input<uint32_t>(p, i))); });
}

__global__ void approximations(const ProbeParams p) {
  for_elements(kElements, [&](uint32_t i) {
    const float value = ptx::as_float(input<uint32_t>(p, i));
    output(p, 2 * i, ptx::as_bits(ptx::exp2_approximate(value)));
    output(p, 2 * i + 1, ptx::as_bits(ptx::reciprocal_approximate(value)));
  });
}

__global__ void maxima(const ProbeParams p) {
  for_elements(kElements, [&](uint32_t i) {
    const float value = ptx::as_float(input<uint32_t>(p, i));
    output(p, 2 * i, ptx::as_bits(ptx::max_or_nan(value, 0.0f)));
    output(p, 2 * i + 1, ptx::as_bits(ptx::max_or_nan(1.0f, value)));
  });
}

template <typename Word>
__global__ void reverse(const ProbeParams p) {
  const uint32_t i = thread_of_grid();
  output(p, i, input<Word>(p, kWords - 1 - i));
}

// What the opposite thread of the block has written.
template <typename Word>
__global__ void load_written(const ProbeParams p) {
  const uint32_t i = thread_of_grid();
  output(p, i, input<Word>(p, i));
  ptx::sync_block();
  const uint32_t opposite = i - ptx::thread_x() + ptx::threads_x() - 1 - ptx::thread_x();
  Word value;
  ptx::load_global(value, static_cast<const Word*>(p.out) + opposite);
  output(p, kWords + i, value);
}

// Words go in as one type and come out, from the last to the first, as another.
template <typename Stored, typename Loaded>
__global__ void shared_words(const ProbeParams p) {
  ptx::SharedMemory shared;
  const uint32_t words = shared.take(kSharedBytes);
  for (uint32_t i = ptx::thread_x(); i < kSharedBytes / sizeof(Stored); i += ptx::threads_x()) {
    ptx::store_shared(words + i * sizeof(Stored), input<Stored>(p, i));
  }
  ptx::sync_block();
  constexpr uint32_t kLoaded = kSharedBytes / sizeof(Loaded);
  for (uint32_t i = ptx::thread_x(); i < kLoaded; i += ptx::threads_x()) {
    Loaded value;
    ptx::load_shared(value, words + (kLoaded - 1 - i) * sizeof(Loaded));
    output(p, i, value);
  }
}

// Two buffers: aligned as promised, apart, and each of its size.
constexpr uint32_t kFirstWords = 12, kBufferWords = 64;
__global__ void shared_buffers(const ProbeParams p) {
  ptx::SharedMemory shared;
  const uint32_t first = shared.take(4 * kFirstWords);
  const uint32_t second = shared.take(4 * (kBufferWords - kFirstWords));
  const uint32_t i = ptx::thread_x();
  const uint32_t mine = i < kFirstWords ? first + 4 * i : second + 4 * (i - kFirstWords);
  ptx::store_shared(mine, input<uint32_t>(p, i));
  ptx::sync_block();
  uint32_t value;
  ptx::load_shared(value, mine);
  output(p, i, value);
  if (i == 0) {
    output(p, kBufferWords, first % 1024);
    output(p, kBufferWords + 1, uint32_t{second >= first + 4 * kFirstWords});
  }
}

// Lane i asks for i bytes, those from 17 on for the default; the target is full of ones before.
__global__ void copy_bytes(const ProbeParams p) {
  ptx::SharedMemory shared;
  const uint32_t lane = ptx::lane(), target = shared.take(16 * ptx::kWarpThreads) + 16 * lane;
  ptx::store_shared(target, ptx::Word128{{~0u, ~0u, ~0u, ~0u}});
  ptx::sync_block();
  const auto* source = static_cast<const ptx::Word128*>(p.in) + lane;
  if (lane == 0) source += ptx::kWarpThreads;  // behind the input: not to be read
  if (lane % 2 == 0) {
    ptx::copy_async(target, source, lane <= 16 ? lane : 16);
  } else {
    ptx::copy_async_if(lane <= 16, target, source, lane);
    ptx::copy_async_if(lane > 16, target, source);
  }
  ptx::commit_copies();
  ptx::wait_copies<0>();
  ptx::Word128 value;
  ptx::load_shared(value, target);
  // In turns, even lanes all bytes, odd ones by halves, or by words and half words; out of turn a
  // lane points at what its neighbour writes.
  const uint32_t even = lane - lane % 2;
  auto* out = static_cast<ptx::Word128*>(p.out) + even;
  ptx::store_global_if(lane == even, out, value);
  for (int half = 0; half < 2; ++half) {
    const uint64_t bytes = uint64_t{value.word[2 * half + 1]} << 32 | value.word[2 * half];
    ptx::store_global_if(lane % 4 == 1, reinterpret_cast<uint64_t*>(out + 1) + half, bytes);
  }
  for (int i = 0; i < 4; ++i) {
    auto* word = reinterpret_cast<uint32_t*>(out + 1) + i;
    ptx::store_global_if(lane % 4 == 3 && i < 2, word, value.word[i]);
    for (int half = 0; half < 2; ++half) {
      ptx::store_global_if(lane % 4 == 3 && i >= 2, reinterpret_cast<uint16_t*>(word) + half,
                           static_cast<uint16_t>(value.word[i] >> 16 * half));
    }
  }
}

// Four groups, the second empty; each is read as soon as the count of those pending allows, the
// last across threads.
constexpr uint32_t kCopyThreads = 64, kCopies = 3;
__global__ void copy_groups(const ProbeParams p) {
  ptx::SharedMemory shared;
  const uint32_t thread = ptx::thread_x(), slots = shared.take(16 * kCopies * kCopyThreads);
  const auto slot = [&](uint32_t copy, uint32_t of) {
    return slots + 16 * (copy * kCopyThreads + of);
  };
  const auto start = [&](uint32_t copy) {
    ptx::copy_async(slot(copy, thread),
                    static_cast<const ptx::Word128*>(p.in) + copy * kCopyThreads + thread);
  };
  const auto read = [&](uint32_t copy, uint32_t of) {
    ptx::Word128 value;
    ptx::load_shared(value, slot(copy, of));
    output(p, copy * kCopyThreads + thread, value);
  };
  start(0);
  ptx::commit_copies();
  ptx::commit_copies();
  start(1);
  ptx::commit_copies();
  start(2);
  ptx::commit_copies();
  ptx::wait_copies<3>();
  read(0, thread);
  ptx::wait_copies<1>();
  read(1, thread);
  ptx::wait_copies<0>();
  ptx::sync_block();
  read(2, kCopyThreads - 1 - thread);
}

}  // namespace probe
}  // namespace octconv
