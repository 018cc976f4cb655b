// What the lanes of a warp compute together: shuffles, ldmatrix, mma.
#pragma once

#include <cstdint>

#include "options.h"

namespace emulation {

enum class MatrixType { kFloat16, kBFloat16, kTFloat32 };

uint32_t shuffle(uint32_t value, uint32_t source_lane, const char* instruction, const Site& at);

// `row` is the 16 bytes at the lane's address, `address` that in shared memory.
void load_matrix(uint32_t* fragment, uint32_t matrices, bool transposed, const void* row,
                 uint32_t address, const Site& at);

// The row of 16 bytes that a lane stores by stmatrix: the reverse.
void row_of_fragments(uint32_t (&row)[4], const uint32_t (&fragment)[4], const Site& at);

void mma(MatrixType type, float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
         const Site& at);

// The bits of a float32, rounded to tf32 as cvt.rna does.
uint32_t round_tf32(uint32_t bits);

}  // namespace emulation
