#include "products.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "convert.h"
#include "engine.h"
#include "memory.h"
#include "row_sums.h"
#include "sanitizers.h"
#include "tensor_copy.h"

namespace emulation {
namespace {

// A signalling NaN, which sums hold while products are under way: arithmetic makes it a quiet one.
constexpr uint32_t kMark = 0x7F80BEEF;

uint32_t place_of(const Thread& thread) { return thread.index % kGroupThreads; }

// The fields of "Matrix Descriptor Format"; addresses and offsets in 16ths of bytes.
struct Descriptor {
  uint64_t bits;

  uint32_t start() const { return (bits & 0x3FFF) * 16; }
  uint32_t leading() const { return (bits >> 16 & 0x3FFF) * 16; }
  uint32_t stride() const { return (bits >> 32 & 0x3FFF) * 16; }
  uint32_t base() const { return bits >> 49 & 7; }
  uint32_t swizzle_bytes() const { return bits >> 62 ? 256 >> (bits >> 62) : 0; }
  uint64_t reserved() const { return bits & 0x3FF1'C000'C000'C000; }
};

void check_descriptor(Descriptor matrix, bool across, uint32_t rows, const char* name,
                      const char* instruction, const Site& at) {
  const auto refuse = [&](const std::string& text) {
    fail(instruction, at, "the descriptor of " + std::string(name) + " " + text);
  };
  if (matrix.reserved() != 0) refuse("has bits where there are no fields");
  if (matrix.swizzle_bytes() == 0) refuse("has no swizzle");
  if (matrix.base() != 0) refuse("has a base offset");
  if (matrix.start() < kSharedBase) refuse("begins before every buffer");
  const uint32_t row_bytes = matrix.swizzle_bytes();
  const uint32_t bytes = across ? std::min(rows * 2, row_bytes) : kDepth * 2;
  if (matrix.start() % row_bytes + bytes > row_bytes) refuse("goes on past rows' ends");
}

// Where 16 bytes of an operand lie, in shared memory that has rows as long as the swizzle. An
// operand by rows has 16 elements of each of its own there, a piece is half of them; one across has
// as many rows' elements as fit, a piece is 8 of them.
uint32_t address_of(Descriptor matrix, bool across, uint32_t piece) {
  const uint32_t bytes = matrix.swizzle_bytes();
  uint32_t address = matrix.start();
  if (across) {
    const uint32_t offset = piece / kDepth * 16, element = piece % kDepth;
    address += offset / bytes * matrix.leading() + offset % bytes;
    address += element / 8 * matrix.stride() + element % 8 * bytes;
  } else {
    const uint32_t row = piece / 2;
    address += row / 8 * matrix.stride() + row % 8 * bytes + piece % 2 * 16;
  }
  return swizzled(address, bytes);
}

// The operand as numbers, element by element: numbers[element * rows + row].
void unpack(const Piece* pieces, MatrixType type, bool across, uint32_t rows, double* numbers) {
  for (uint32_t i = 0; i < rows * 2; ++i) {
    uint16_t bits[8];
    std::memcpy(bits, pieces[i].bytes, sizeof bits);
    for (uint32_t j = 0; j < 8; ++j) {
      const uint32_t row = across ? i / kDepth * 8 + j : i / 2;
      const uint32_t element = across ? i % kDepth : i % 2 * 8 + j;
      numbers[element * rows + row] = type == MatrixType::kFloat16
                                          ? widen(octconv::Float16{bits[j]})
                                          : widen(octconv::BFloat16{bits[j]});
    }
  }
}

void compute(Product& product) {
  const uint32_t columns = product.shape.columns;
  double a[kDepth * kRows], b[kDepth * 256];
  unpack(product.pieces.data(), product.shape.type, product.shape.a_across, kRows, a);
  unpack(product.pieces.data() + product.a_pieces(), product.shape.type, product.shape.b_across,
         columns, b);
  for (uint32_t row = 0; row < kRows; ++row) {
    for (uint32_t first = 0; first < columns; first += kRowSums) {
      double sums[kRowSums] = {};
      add_row_sums(sums, a + row, kRows, b + first, columns, kDepth);
      // Sum 4j + 2h + i of a thread: see multiply_async.
      const uint32_t thread = row / 16 * 32 + row % 8 * 4, index = first / 2 + row % 16 / 8 * 2;
      for (uint32_t n = 0; n < kRowSums; ++n) {
        float& value = product.sums->values[(thread + n / 2) * product.sums->count + index + n % 2];
        value = static_cast<float>(value + sums[n]);
      }
    }
  }
  product.computed = true;
  engine->counters.wgmma += columns / 8;
}

// Reads what may have gone out of scope.
void remember(Sums& sums) {
  for (uint32_t t = 0; t < kGroupThreads; ++t) {
    for (uint32_t i = 0; i < sums.count; ++i) {
      sums.values[t * sums.count + i] = sums.of_thread[t][i];
    }
  }
}

// Reads what may have gone out of scope.
void remember(Fragment& fragment) {
  for (uint32_t i = 0; i < 4; ++i) fragment.words[i] = fragment.registers[i];
}

// Throws if the running thread has changed registers of A since its last fence_products.
void check_fragment(const uint32_t* registers, const char* instruction, const Site& at) {
  for (const Fragment& fragment : self->fragments) {
    if (fragment.registers != registers) continue;
    if (std::equal(fragment.words, fragment.words + 4, registers)) return;
    fail(instruction, at, "A's registers have changed without a fence_products since");
  }
  remember(self->fragments.emplace_back(Fragment{registers, {}}));
}

// Throws unless the arrays hold marks while products are under way, and else what was there at the
// last fence or at the end of the last product.
void check_untouched(const Sums& sums, const char* instruction, const Site& at) {
  for (uint32_t t = 0; t < kGroupThreads; ++t) {
    if (out_of_scope(sums.of_thread[t], sums.count * sizeof(float))) {
      fail(instruction, at,
           "the sums of thread " + std::to_string(t) + " of the warpgroup have gone out of scope");
    }
    for (uint32_t i = 0; i < sums.count; ++i) {
      const uint32_t now = bits_of_float(sums.of_thread[t][i]);
      const uint32_t known = bits_of_float(sums.values[t * sums.count + i]);
      if (now == (sums.products ? kMark : known)) continue;
      const std::string who =
          "thread " + std::to_string(t) + " of the warpgroup has touched sum " + std::to_string(i);
      fail(instruction, at,
           who + (sums.products ? " with products under way" : " without a fence_products since"));
    }
  }
}

// The sums at the threads' arrays, with their values at hand. Others that lay there are forgotten.
Sums& sums_of(Warpgroup& group, const Product& product) {
  const uint32_t count = product.shape.columns / 2;
  float* const begin = product.of_thread[0];
  for (auto sums = group.sums.begin(); sums != group.sums.end();) {
    float* const other = sums->of_thread[0];
    if (other == begin && sums->count == count) {
      check_untouched(*sums, product.instruction, product.at);
      return *sums;
    }
    const bool overlap = other < begin + count && begin < other + sums->count;
    if (overlap && sums->products) {
      fail(product.instruction, product.at, "the sums overlap others with products under way");
    }
    sums = overlap ? group.sums.erase(sums) : std::next(sums);
  }
  Sums& sums = group.sums.emplace_back();
  std::copy(std::begin(product.of_thread), std::end(product.of_thread), sums.of_thread);
  sums.count = count;
  sums.values.resize(count * kGroupThreads);
  remember(sums);
  return sums;
}

void fill(Sums& sums, bool marks) {
  for (uint32_t t = 0; t < kGroupThreads; ++t) {
    for (uint32_t i = 0; i < sums.count; ++i) {
      sums.of_thread[t][i] = marks ? std::bit_cast<float>(kMark) : sums.values[t * sums.count + i];
    }
  }
}

bool same(const Product& product, const ProductShape& shape, uint64_t a, uint64_t b) {
  return product.shape.type == shape.type && product.shape.columns == shape.columns &&
         product.shape.a_across == shape.a_across && product.shape.b_across == shape.b_across &&
         product.shape.a_in_registers == shape.a_in_registers && product.a == a && product.b == b;
}

struct Finish {
  uint64_t pending;
  const Site* at;
};

// What all threads have come with.
template <typename Argument>
const Argument& argument_of(const Warpgroup& group) {
  return *static_cast<const Argument*>(group.warps[0].argument[0]);
}

}  // namespace

void Product::take(uint32_t piece, const void* bytes) {
  const IgnoreAccesses ignore;
  std::memcpy(pieces[piece].bytes, bytes, sizeof(Piece));
}

void Product::take_registers() {
  const IgnoreAccesses ignore;
  const uint32_t* registers = a_of_thread[place_of(*self)];
  if (out_of_scope(registers, 4 * sizeof *registers)) {
    fail(instruction, at, "A's registers have gone out of scope");
  }
  for (uint32_t i = 0; i < 4; ++i) {  // as of mma.m16n8k16
    const uint32_t row = place_of(*self) / 32 * 16 + self->lane / 4 + i % 2 * 8;
    std::memcpy(pieces[row * 2 + i / 2].bytes + self->lane % 4 * 4, registers + i, 4);
  }
}

Product& begin_product(const ProductShape& shape, float* sums, uint64_t a,
                       const uint32_t* a_registers, uint64_t b, const char* instruction,
                       const Site& at) {
  const IgnoreAccesses ignore;
  Warpgroup& group = warpgroup_of(*self);
  const uint64_t index = self->products++ - group.first;
  if (index == group.products.size()) {
    if (!group.fenced) fail(instruction, at, "no fence_products before the first product");
    if (!shape.a_in_registers) check_descriptor({a}, shape.a_across, kRows, "A", instruction, at);
    check_descriptor({b}, shape.b_across, shape.columns, "B", instruction, at);
    Product& made =
        group.products.emplace_back(Product{shape, a, b, instruction, at, group.commits});
    made.pieces.resize(made.a_pieces() + made.shape.columns * 2);
  }
  Product& product = group.products[index];
  if (!same(product, shape, a, b)) {
    fail(instruction, at, "another thread of the warpgroup gives other operands");
  }
  if (a_registers) check_fragment(a_registers, instruction, at);
  product.of_thread[place_of(*self)] = sums;
  product.a_of_thread[place_of(*self)] = a_registers;
  return product;
}

void issue_product(bool ready, const Site& at) {
  const char* name = warpgroup_of(*self).products.back().instruction;
  meet_warpgroup(name, at, &ready, [](Warpgroup& group) {
    Product& product = group.products.back();
    product.sums = &sums_of(group, product);
    if (product.sums->products++ == 0) fill(*product.sums, true);
    if (argument_of<bool>(group)) compute(product);
  });
}

void fence_products(const Site& at) {
  for (Fragment& fragment : self->fragments) remember(fragment);
  meet_warpgroup("fence_products", at, nullptr, [](Warpgroup& group) {
    group.fenced = true;
    for (Sums& sums : group.sums) {
      if (!sums.products) remember(sums);
    }
  });
}

void commit_products(const Site& at) {
  meet_warpgroup("commit_products", at, nullptr, [](Warpgroup& group) { ++group.commits; });
}

std::vector<Product*> products_to_read(uint64_t pending) {
  const IgnoreAccesses ignore;
  Warpgroup& group = warpgroup_of(*self);
  std::vector<Product*> due;
  for (Product& product : group.products) {
    if (product.group + pending < group.commits && !product.computed) due.push_back(&product);
  }
  return due;
}

void finish_products(uint64_t pending, const Site& at) {
  constexpr const char* kName = "wait_products";
  Warpgroup& group = warpgroup_of(*self);
  char* object = &group.sync_objects[group.generation % 2];
  release(object);
  Finish mine{pending, &at};
  meet_warpgroup(kName, at, &mine, [](Warpgroup& group) {
    const auto& finish = argument_of<Finish>(group);
    ++group.generation;
    for (; !group.products.empty(); group.products.pop_front(), ++group.first) {
      Product& product = group.products.front();
      if (product.group + finish.pending >= group.commits) break;
      if (!product.computed) compute(product);
      Sums& sums = *product.sums;
      if (sums.products == 1) check_untouched(sums, kName, *finish.at);
      if (--sums.products == 0) fill(sums, false);
    }
  });
  acquire(object);
}

const std::byte* piece_of(const Product& product, uint32_t piece) {
  const IgnoreAccesses ignore;
  const bool of_a = piece < product.a_pieces();
  const uint32_t in_block =
      of_a ? address_of({product.a}, product.shape.a_across, piece)
           : address_of({product.b}, product.shape.b_across, piece - product.a_pieces());
  // Descriptors leave out the rank that addresses have in a cluster.
  const uint32_t address = self->block->first_address - kSharedBase + in_block;
  const std::byte* bytes = shared_range(address, 16, product.instruction, product.at);
  const Thread* writer = unfenced(piece_at(*self->block, address).store);
  if (!writer) return bytes;
  if (of_a) return nullptr;
  fail(product.instruction, product.at,
       "thread " + std::to_string(writer->index) +
           " has stored what B is without a fence_shared behind it");
}

}  // namespace emulation
