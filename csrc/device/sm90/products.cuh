// Tensor-core instructions of sm_90a: a warpgroup multiplies matrices in shared memory while its
// threads go on.
#pragma once

#include <cstdint>

#include "device/sm90/descriptors.h"
#include "dtype.h"

namespace octconv::ptx {

// The same matrix. What was made from it before is made anew: unrolled loops would keep hundreds of
// its offsets in registers.
__device__ __forceinline__ uint64_t forget_offsets(uint64_t matrix) {
  asm volatile("" : "+l"(matrix));
  return matrix;
}

// Asynchronous Warpgroup Level Matrix Instructions: wgmma.fence. Before the first products, and
// wherever the sums have been touched since.
__device__ __forceinline__ void fence_products() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

// Asynchronous Warpgroup Level Matrix Instructions: wgmma.commit_group
__device__ __forceinline__ void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Asynchronous Warpgroup Level Matrix Instructions: wgmma.wait_group. All groups but the last
// kPending have done with their sums and operands.
template <int kPending>
__device__ __forceinline__ void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Asynchronous Warpgroup Level Matrix Instructions: wgmma.mma_async.m64nNk16. sum += a * b, for a
// of 64 x 16 elements and b of N x 16, both by rows, or b transposed: 16 rows of N. Sum 4j + 2h + i
// of a thread is that of row 16 (warp % 4) + 8h + lane / 4 and column 8j + 2 (lane % 4) + i.
template <typename T, int kColumns, bool kTransposed = false>
__device__ void multiply_async(float (&sum)[kColumns / 2], uint64_t a, uint64_t b);

// The same with a in registers: each warp has its 16 rows, as load_matrix gives them.
template <typename T, int kColumns, bool kTransposed = false>
__device__ void multiply_async(float (&sum)[kColumns / 2], const uint32_t (&a)[4], uint64_t b);

// The operand lists of the instruction: "%0, %1, ..." and "+f"(sum[0]), ...
#define OCTCONV_TEN(tens)                                                                 \
  "%" #tens "0, %" #tens "1, %" #tens "2, %" #tens "3, %" #tens "4, %" #tens "5, %" #tens \
  "6, "                                                                                   \
  "%" #tens "7, %" #tens "8, %" #tens "9"
#define OCTCONV_SIXTEEN OCTCONV_TEN() ", %10, %11, %12, %13, %14, %15"
#define OCTCONV_THIRTY OCTCONV_TEN() ", " OCTCONV_TEN(1) ", " OCTCONV_TEN(2)
#define OCTCONV_SIXTY OCTCONV_THIRTY ", " OCTCONV_TEN(3) ", " OCTCONV_TEN(4) ", " OCTCONV_TEN(5)
#define OCTCONV_SUMS_4(i) "+f"(sum[i]), "+f"(sum[i + 1]), "+f"(sum[i + 2]), "+f"(sum[i + 3])
#define OCTCONV_SUMS_16(i) \
  OCTCONV_SUMS_4(i), OCTCONV_SUMS_4(i + 4), OCTCONV_SUMS_4(i + 8), OCTCONV_SUMS_4(i + 12)
#define OCTCONV_SUMS_32(i) OCTCONV_SUMS_16(i), OCTCONV_SUMS_16(i + 16)

#define OCTCONV_MULTIPLY(T, TYPE, COLUMNS, TRANSPOSED, REGISTERS, OPERANDS, ...)       \
  template <>                                                                          \
  __device__ __forceinline__ void multiply_async<T, COLUMNS, TRANSPOSED>(              \
      float (&sum)[COLUMNS / 2], uint64_t a, uint64_t b) {                             \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32." TYPE "." TYPE \
                 " {" REGISTERS "}, " OPERANDS ", 1, 1, 1, 0, " #TRANSPOSED ";"        \
                 : __VA_ARGS__                                                         \
                 : "l"(a), "l"(b));                                                    \
  }
#define OCTCONV_MULTIPLY_REGISTERS(T, TYPE, COLUMNS, TRANSPOSED, REGISTERS, OPERANDS, ...) \
  template <>                                                                              \
  __device__ __forceinline__ void multiply_async<T, COLUMNS, TRANSPOSED>(                  \
      float (&sum)[COLUMNS / 2], const uint32_t (&a)[4], uint64_t b) {                     \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32." TYPE "." TYPE     \
                 " {" REGISTERS "}, " OPERANDS ", 1, 1, 1, " #TRANSPOSED ";"               \
                 : __VA_ARGS__                                                             \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                    \
  }
#define OCTCONV_MULTIPLY_BOTH(T, TYPE, TRANSPOSED)                                             \
  OCTCONV_MULTIPLY_REGISTERS(T, TYPE, 32, TRANSPOSED, OCTCONV_SIXTEEN,                         \
                             "{%16, %17, %18, %19}, %20", OCTCONV_SUMS_16(0))                  \
  OCTCONV_MULTIPLY_REGISTERS(T, TYPE, 64, TRANSPOSED, OCTCONV_THIRTY ", %30, %31",             \
                             "{%32, %33, %34, %35}, %36", OCTCONV_SUMS_32(0))                  \
  OCTCONV_MULTIPLY(T, TYPE, 32, TRANSPOSED, OCTCONV_SIXTEEN, "%16, %17", OCTCONV_SUMS_16(0))   \
  OCTCONV_MULTIPLY(T, TYPE, 64, TRANSPOSED, OCTCONV_THIRTY ", %30, %31", "%32, %33",           \
                   OCTCONV_SUMS_32(0))                                                         \
  OCTCONV_MULTIPLY(T, TYPE, 128, TRANSPOSED, OCTCONV_SIXTY ", %60, %61, %62, %63", "%64, %65", \
                   OCTCONV_SUMS_32(0), OCTCONV_SUMS_32(32))                                    \
  OCTCONV_MULTIPLY(T, TYPE, 160, TRANSPOSED,                                                   \
                   OCTCONV_SIXTY ", " OCTCONV_TEN(6) ", " OCTCONV_TEN(7), "%80, %81",          \
                   OCTCONV_SUMS_32(0), OCTCONV_SUMS_32(32), OCTCONV_SUMS_16(64))
#define OCTCONV_NINETY OCTCONV_SIXTY ", " OCTCONV_TEN(6) ", " OCTCONV_TEN(7) ", " OCTCONV_TEN(8)
#define OCTCONV_MULTIPLY_ALL(T, TYPE)                                                              \
  OCTCONV_MULTIPLY_REGISTERS(T, TYPE, 128, 1, OCTCONV_SIXTY ", %60, %61, %62, %63",                \
                             "{%64, %65, %66, %67}, %68", OCTCONV_SUMS_32(0), OCTCONV_SUMS_32(32)) \
  OCTCONV_MULTIPLY_REGISTERS(T, TYPE, 96, 1,                                                       \
                             OCTCONV_THIRTY                                                        \
                             ", " OCTCONV_TEN(3) ", %40, %41, %42, %43, %44, %45, %46, %47",       \
                             "{%48, %49, %50, %51}, %52", OCTCONV_SUMS_32(0), OCTCONV_SUMS_16(32)) \
  OCTCONV_MULTIPLY_REGISTERS(T, TYPE, 192, 1, OCTCONV_NINETY ", %90, %91, %92, %93, %94, %95",     \
                             "{%96, %97, %98, %99}, %100", OCTCONV_SUMS_32(0),                     \
                             OCTCONV_SUMS_32(32), OCTCONV_SUMS_32(64))                             \
  OCTCONV_MULTIPLY_BOTH(T, TYPE, 0)                                                                \
  OCTCONV_MULTIPLY_BOTH(T, TYPE, 1)

OCTCONV_MULTIPLY_ALL(BFloat16, "bf16")
OCTCONV_MULTIPLY_ALL(Float16, "f16")

#undef OCTCONV_MULTIPLY_ALL
#undef OCTCONV_MULTIPLY_BOTH
#undef OCTCONV_MULTIPLY_REGISTERS
#undef OCTCONV_MULTIPLY
#undef OCTCONV_SUMS_32
#undef OCTCONV_SUMS_16
#undef OCTCONV_SUMS_4
#undef OCTCONV_NINETY
#undef OCTCONV_SIXTY
#undef OCTCONV_THIRTY
#undef OCTCONV_SIXTEEN
#undef OCTCONV_TEN

}  // namespace octconv::ptx
