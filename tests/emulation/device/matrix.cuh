// Host twin of csrc/device/matrix.cuh. Each lane reads its own row, so that a report names it.
#pragma once

#include <cstdint>
#include <cstring>

#include "dtype.h"
#include "runtime/memory.h"
#include "runtime/warp.h"

namespace octconv::ptx {

using emulation::Site;

template <uint32_t kMatrices>
void load_rows(uint32_t (&fragment)[kMatrices], bool transposed, uint32_t row, Site at) {
  static_assert(kMatrices == 1 || kMatrices == 2 || kMatrices == 4);
  unsigned char bytes[16];
  if (emulation::self->lane < 8 * kMatrices) {
    std::memcpy(bytes, emulation::shared_load(row, 16, "load_matrix", at), 16);
  }
  emulation::load_matrix(fragment, kMatrices, transposed, bytes, row, at);
}

template <uint32_t kMatrices>
void load_matrix(uint32_t (&fragment)[kMatrices], uint32_t row, Site at = Site::current()) {
  load_rows(fragment, false, row, at);
}

template <uint32_t kMatrices>
void load_matrix_transposed(uint32_t (&fragment)[kMatrices], uint32_t row,
                            Site at = Site::current()) {
  load_rows(fragment, true, row, at);
}

template <typename T>
constexpr emulation::MatrixType kMatrixType = emulation::MatrixType::kTFloat32;
template <>
inline constexpr emulation::MatrixType kMatrixType<Float16> = emulation::MatrixType::kFloat16;
template <>
inline constexpr emulation::MatrixType kMatrixType<BFloat16> = emulation::MatrixType::kBFloat16;

template <typename T>
void mma(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
         Site at = Site::current()) {
  emulation::mma(kMatrixType<T>, sum, a, b, at);
}

}  // namespace octconv::ptx
