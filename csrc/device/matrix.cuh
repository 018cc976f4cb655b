// Tensor-core instructions of sm_80: fragments from shared memory, and their products.
#pragma once

#include <cstdint>

#include "dtype.h"

namespace octconv::ptx {

// Warp-Level Matrix Instructions: ldmatrix. Loads 1, 2 or 4 matrices of 8 rows x 16 bytes. Lanes
// 8i to 8i + 7 hold the addresses of the rows of matrix i, multiples of 16; lanes past the last
// matrix are not asked. Register i of lane l is word l % 4 of row l / 4 of matrix i.
__device__ __forceinline__ void load_matrix(uint32_t (&fragment)[1], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
               : "=r"(fragment[0])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void load_matrix(uint32_t (&fragment)[2], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(fragment[0]), "=r"(fragment[1])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void load_matrix(uint32_t (&fragment)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(row)
               : "memory");
}

// Warp-Level Matrix Instructions: ldmatrix with .trans, which takes each matrix as 8 x 8 elements
// of 16 bits. Register i of lane l holds elements l / 4 of rows 2(l % 4) and 2(l % 4) + 1.
__device__ __forceinline__ void load_matrix_transposed(uint32_t (&fragment)[1], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
               : "=r"(fragment[0])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void load_matrix_transposed(uint32_t (&fragment)[2], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(fragment[0]), "=r"(fragment[1])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void load_matrix_transposed(uint32_t (&fragment)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
               : "r"(row)
               : "memory");
}

// One of the three types below, which mma takes as its template argument.
template <typename T>
__device__ void mma(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

// Warp-Level Matrix Instructions: mma.m16n8k16 with floating-point types. sum += a * b, for a of
// 16 x 16 elements row by row and b of 16 x 8 column by column.
template <>
__device__ __forceinline__ void mma<BFloat16>(float (&sum)[4], const uint32_t (&a)[4],
                                              const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
__device__ __forceinline__ void mma<Float16>(float (&sum)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Warp-Level Matrix Instructions: mma.m16n8k8, for a of 16 x 8 tf32 elements and b of 8 x 8; the
// lower 13 bits of each must be zero (round_tf32).
template <>
__device__ __forceinline__ void mma<TFloat32>(float (&sum)[4], const uint32_t (&a)[4],
                                              const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace octconv::ptx
