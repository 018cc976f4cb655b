// Planted bugs: products of a warpgroup.
#pragma once

#include "device/sm90/barrier.cuh"
#include "device/sm90/products.cuh"
#include "device/sm90/tensor_copy.cuh"
#include "planted/params.cuh"

namespace octconv::planted {

enum class ProductBug {
  kNone,
  kNoFence,
  kNoSecondFence,
  kNoCommit,
  kShortWait,
  kReadsEarly,
  kAddsEarly,
  kUnfenced,
  kRefillsEarly,
  kLoadsEarly,
  kNoFragmentFence,
  kNoSwizzle,
  kPastRows,
  kPastBuffer,
  kTwoPlaces,
  kThreeWarps,
  kOtherOperands,
  kOutOfScope,
};

constexpr uint32_t kRowsOfA = 64, kRowsOfB = 32, kRowBytes = 128;

// Row n of B picks element 2n + 1 of 16: the upper half of a float, as bfloat16. `scale` is 1 or 2.
__device__ __forceinline__ void store_b(uint32_t b, uint32_t scale) {
  const uint32_t row = ptx::thread_x() / 2, half = ptx::thread_x() % 2;
  if (row >= kRowsOfB) return;
  ptx::Word128 piece{};
  for (uint32_t i = 0; i < 4; ++i) {
    if (half * 4 + i == row) piece.word[i] = (scale == 1 ? 0x3F80u : 0x4000u) << 16;
  }
  ptx::store_shared(b + row * kRowBytes + (half ^ row % 8) * 16, piece);
}

// The first eight floats of each of 64 rows, by a product with B; zeros from row 32 on, where the
// tensor has ended.
template <ProductBug kBug, bool kThroughRegisters = false>
__device__ __forceinline__ void multiply_rows(const Params& p) {
  ptx::SharedMemory shared;
  const uint32_t a = shared.take(kRowsOfA * kRowBytes), b = shared.take(kRowsOfB * kRowBytes);
  const uint32_t full = shared.take(16), thread = ptx::thread_x();
  if (thread == 0) {
    ptx::init_barrier(full, 1);
    ptx::fence_barriers();
    ptx::arrive_expecting(full, kRowsOfA * kRowBytes);
    for (int32_t row = 0; row < 64; row += 16) {
      ptx::copy_box(a + row * kRowBytes, &p.rows, full, 0, row, 0, 0);
    }
  }
  store_b(b, 1);
  if (kBug != ProductBug::kUnfenced) ptx::fence_shared();
  ptx::sync_block();
  ptx::wait_barrier(full, 0);

  uint64_t of_a = ptx::matrix_at(a, 8), of_b = ptx::matrix_at(b, 8);
  if (kBug == ProductBug::kNoSwizzle) of_b &= ~(uint64_t{3} << 62);
  if (kBug == ProductBug::kPastRows) of_a += 7;
  if (kBug == ProductBug::kPastBuffer) of_a += 8;
  if (kBug == ProductBug::kOtherOperands && thread >= 64) of_b += 2;
  float sum[16] = {};
  if (kBug != ProductBug::kNoFence) ptx::fence_products();
  if (kBug == ProductBug::kThreeWarps && warp() == 3) return;
  uint32_t fragment[4];
  const auto load_fragment = [&](uint32_t half) {
    const uint32_t row = warp() * 16 + ptx::lane() % 16;
    ptx::load_matrix(fragment, a + row * kRowBytes + (half ^ row % 8) * 16);
  };
  if constexpr (kThroughRegisters) {
    for (uint32_t& word : fragment) word = 0;
    ptx::multiply_async<BFloat16, 32>(sum, fragment, of_b);
    ptx::commit_products();
    ptx::wait_products<0>();
    load_fragment(ptx::lane() / 16);
    if (kBug != ProductBug::kNoFragmentFence) ptx::fence_products();
    ptx::multiply_async<BFloat16, 32>(sum, fragment, of_b);
  } else if (kBug == ProductBug::kTwoPlaces && warp() == 2) {
    ptx::multiply_async<BFloat16, 32>(sum, of_a, of_b);
  } else {
    ptx::multiply_async<BFloat16, 32>(sum, of_a, of_b);
  }
  if (kBug == ProductBug::kOutOfScope) {
    float others[16] = {};
    ptx::multiply_async<BFloat16, 32>(others, of_a, of_b);
  }
  if (kBug != ProductBug::kNoCommit) ptx::commit_products();
  if (kBug == ProductBug::kAddsEarly) sum[0] += 1;
  if (kBug == ProductBug::kLoadsEarly) load_fragment(1 - ptx::lane() / 16);
  if (kBug == ProductBug::kRefillsEarly) store_b(b, 2), ptx::fence_shared();
  const auto store = [&] {
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t row = warp() * 16 + half * 8 + ptx::lane() / 4;
      for (uint32_t i = 0; i < 2; ++i) {
        const uint32_t word = ptx::as_bits(sum[2 * half + i]);
        ptx::store_global(p.out + row * 8 + ptx::lane() % 4 * 2 + i, word);
      }
    }
  };
  if (kBug == ProductBug::kReadsEarly) store();
  ptx::wait_products<kBug == ProductBug::kShortWait ? 1 : 0>();
  if (kBug == ProductBug::kNoSecondFence) {
    for (float& each : sum) each = 0;
    ptx::multiply_async<BFloat16, 32>(sum, of_a, of_b);
    ptx::commit_products();
    ptx::wait_products<0>();
  }
  if (kBug != ProductBug::kReadsEarly) store();
}

template <bool kBroken>
__global__ void missing_products_fence(const Params p) {
  multiply_rows<kBroken ? ProductBug::kNoFence : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void sums_set_behind_fence(const Params p) {
  multiply_rows<kBroken ? ProductBug::kNoSecondFence : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void missing_products_commit(const Params p) {
  multiply_rows<kBroken ? ProductBug::kNoCommit : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void products_wait_one_group_short(const Params p) {
  multiply_rows<kBroken ? ProductBug::kShortWait : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void sums_read_before_wait(const Params p) {
  multiply_rows<kBroken ? ProductBug::kReadsEarly : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void sums_touched_before_wait(const Params p) {
  multiply_rows<kBroken ? ProductBug::kAddsEarly : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void sums_out_of_scope_before_wait(const Params p) {
  multiply_rows<kBroken ? ProductBug::kOutOfScope : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void product_of_unfenced_store(const Params p) {
  multiply_rows<kBroken ? ProductBug::kUnfenced : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void operand_refilled_before_wait(const Params p) {
  multiply_rows<kBroken ? ProductBug::kRefillsEarly : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void fragment_replaced_before_wait(const Params p) {
  multiply_rows<kBroken ? ProductBug::kLoadsEarly : ProductBug::kNone, true>(p);
}

template <bool kBroken>
__global__ void fragment_without_fence(const Params p) {
  multiply_rows<kBroken ? ProductBug::kNoFragmentFence : ProductBug::kNone, true>(p);
}

template <bool kBroken>
__global__ void descriptor_without_swizzle(const Params p) {
  multiply_rows<kBroken ? ProductBug::kNoSwizzle : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void descriptor_past_rows(const Params p) {
  multiply_rows<kBroken ? ProductBug::kPastRows : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void descriptor_past_buffer(const Params p) {
  multiply_rows<kBroken ? ProductBug::kPastBuffer : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void divergent_product(const Params p) {
  multiply_rows<kBroken ? ProductBug::kTwoPlaces : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void product_by_three_warps(const Params p) {
  multiply_rows<kBroken ? ProductBug::kThreeWarps : ProductBug::kNone>(p);
}

template <bool kBroken>
__global__ void product_of_other_operands(const Params p) {
  multiply_rows<kBroken ? ProductBug::kOtherOperands : ProductBug::kNone>(p);
}

}  // namespace octconv::planted
