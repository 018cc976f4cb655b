// The parameters of gemm, its split, and the instantiations that launchers and the emulation share.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dtype.h"
#include "launch_shape.h"

namespace octconv {

struct GemmParams {
  const void* a;        // (m, k)
  const void* b;        // (n, k)
  void* c;              // (m, n)
  float* partial_sums;  // gemm_partial_sums() of them, if splits > 1
  uint32_t* arrivals;   // one for each tile, zeros
  int32_t m, n, k;      // n is even, and a row of k elements a multiple of 16 bytes
  uint32_t splits;      // of k
};

constexpr int32_t kGemmBlock = 64;

inline uint32_t gemm_tiles(const GemmParams& p) {
  return ((p.m + kGemmBlock - 1) / kGemmBlock) * ((p.n + kGemmBlock - 1) / kGemmBlock);
}

// As many splits as multiprocessors would idle without, but each with a chunk of 128 bytes.
inline uint32_t gemm_splits(const GemmParams& p, uint32_t element_bytes, uint32_t multiprocessors) {
  const uint32_t most = std::max<uint32_t>(1, p.k * element_bytes / 128);
  return std::clamp<uint32_t>(multiprocessors / gemm_tiles(p), 1, most);
}

inline int64_t gemm_partial_sums(const GemmParams& p) {
  return int64_t{gemm_tiles(p)} * p.splits * kGemmBlock * kGemmBlock;
}

template <typename T, int kStages>
struct GemmTraits;

// Calls visit(GemmTraits<...>()) for the one that serves T.
template <typename T, typename Visit>
void with_gemm(const Visit& visit) {
  visit(GemmTraits<T, 3>());
}

template <typename Traits>
LaunchShape gemm_shape(const GemmParams& p) {
  return {gemm_tiles(p) * p.splits, Traits::kThreads, 1, Traits::kSharedBytes};
}

}  // namespace octconv
