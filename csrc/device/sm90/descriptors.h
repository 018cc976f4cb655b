// Descriptors of matrices in shared memory, for products. Plain C++, for the emulation, too.
#pragma once

#include <cstdint>

namespace octconv::ptx {

// What a descriptor takes of an address, which in a cluster has the block's rank further up.
constexpr uint32_t kMatrixAddress = 0x3FFFF;

// Asynchronous Warpgroup Level Matrix Instructions, Matrix Descriptor Format: rows of 128 bytes in
// the swizzle of 128 bytes, eight to a group, `group_rows` rows from one group to the next. To
// begin at another row or column, add 16ths of its bytes.
constexpr uint64_t matrix_at(uint32_t shared, uint32_t group_rows) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  return kSwizzle128 | uint64_t{group_rows * 8} << 32 | 1 << 16 | (shared & kMatrixAddress) / 16;
}

// The same of a transposed matrix: rows of kRowBytes, 64 or 128, in the swizzle of as many bytes;
// what does not fit such a row lies `next` bytes further on.
template <int kRowBytes>
constexpr uint64_t transposed_at(uint32_t shared, uint32_t next, uint32_t group_rows = 8) {
  static_assert(kRowBytes == 64 || kRowBytes == 128);
  constexpr uint64_t kSwizzle = uint64_t{kRowBytes == 128 ? 1 : 2} << 62;
  const uint64_t group = group_rows * kRowBytes / 16;
  return kSwizzle | group << 32 | uint64_t{next / 16} << 16 | (shared & kMatrixAddress) / 16;
}

}  // namespace octconv::ptx
