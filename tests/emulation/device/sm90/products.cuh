// Host twin of csrc/device/sm90/products.cuh. Each thread reads its share of the operands.
#pragma once

#include <cstdint>
#include <cstring>

#include "device/matrix.cuh"
#include "device/memory.cuh"
#include "device/sm90/descriptors.h"
#include "runtime/engine.h"
#include "runtime/products.h"

namespace octconv::ptx {

using emulation::Site;

inline uint64_t forget_offsets(uint64_t matrix) { return matrix; }

// Hardly ever the pieces that the thread itself has stored: its races would go unseen.
inline void read_operands(emulation::Product& product) {
  if (product.shape.a_in_registers) product.take_registers();
  const uint32_t first = (emulation::self->index + 37) % emulation::kGroupThreads;
  for (uint32_t i = first; i < product.pieces.size(); i += emulation::kGroupThreads) {
    if (i < product.a_pieces() && product.shape.a_in_registers) continue;
    Word128 word{{~0u, ~0u, ~0u, ~0u}};
    if (const std::byte* from = emulation::piece_of(product, i)) read_word(word, from);
    product.take(i, &word);
  }
}

inline void fence_products(Site at = Site::current()) { emulation::fence_products(at); }
inline void commit_products(Site at = Site::current()) { emulation::commit_products(at); }

template <int kPending>
void wait_products(Site at = Site::current()) {
  for (emulation::Product* product : emulation::products_to_read(kPending)) {
    read_operands(*product);
  }
  emulation::finish_products(kPending, at);
}

template <typename T, int kColumns>
void issue(emulation::ProductShape shape, float* sum, uint64_t a, const uint32_t* a_registers,
           uint64_t b, Site at) {
  static_assert(sizeof(T) == 2 && kColumns % 8 == 0 && kColumns >= 8 && kColumns <= 256);
  shape.type = kMatrixType<T>, shape.columns = kColumns;
  const bool early = !emulation::engine->options().late;
  emulation::Product& product =
      emulation::begin_product(shape, sum, a, a_registers, b, "multiply_async", at);
  if (early) read_operands(product);
  emulation::issue_product(early, at);
}

template <typename T, int kColumns, bool kTransposed = false>
void multiply_async(float (&sum)[kColumns / 2], uint64_t a, uint64_t b, Site at = Site::current()) {
  issue<T, kColumns>({.b_across = kTransposed}, sum, a, nullptr, b, at);
}

template <typename T, int kColumns, bool kTransposed = false>
void multiply_async(float (&sum)[kColumns / 2], const uint32_t (&a)[4], uint64_t b,
                    Site at = Site::current()) {
  issue<T, kColumns>({.b_across = kTransposed, .a_in_registers = true}, sum, 0, a, b, at);
}

}  // namespace octconv::ptx
