// Fragments of sums to shared memory (sm_90).
#pragma once

#include <cstdint>

namespace octconv::ptx {

// Warp-Level Matrix Instructions: stmatrix. Stores 4 matrices of 8 rows x 16 bytes: the reverse of
// load_matrix.
__device__ __forceinline__ void store_matrix(uint32_t row, const uint32_t (&fragment)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(fragment[0]), "r"(fragment[1]), "r"(fragment[2]), "r"(fragment[3])
               : "memory");
}

}  // namespace octconv::ptx
