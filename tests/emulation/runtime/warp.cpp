#include "warp.h"

#include <cstring>

#include "convert.h"
#include "engine.h"
#include "memory.h"
#include "row_sums.h"

namespace emulation {
namespace {

struct Shuffle {
  uint32_t value, source_lane, result;
};

struct LoadMatrix {
  uint32_t* fragment;
  uint32_t matrices;
  bool transposed;
  const void* row;
  uint32_t address;
};

struct StoreMatrix {
  uint32_t* row;
  const uint32_t* fragment;
};

struct Mma {
  MatrixType type;
  float* sum;
  const uint32_t* a;
  const uint32_t* b;
  Site at;
};

template <typename Argument>
Argument& argument(Warp& warp, uint32_t lane) {
  return *static_cast<Argument*>(warp.argument[lane]);
}

void compute_load_matrix(Warp& warp) {
  const LoadMatrix& first = argument<LoadMatrix>(warp, 0);
  for (uint32_t m = 0; m < first.matrices; ++m) {
    uint16_t matrix[8][8];
    uint32_t addresses[8];
    for (uint32_t row = 0; row < 8; ++row) {
      const LoadMatrix& of_lane = argument<LoadMatrix>(warp, 8 * m + row);
      std::memcpy(matrix[row], of_lane.row, 16);
      addresses[row] = of_lane.address;
    }
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const uint32_t group = lane / 4, pair = 2 * (lane % 4);
      const uint32_t low = first.transposed ? matrix[pair][group] : matrix[group][pair];
      const uint32_t high = first.transposed ? matrix[pair + 1][group] : matrix[group][pair + 1];
      argument<LoadMatrix>(warp, lane).fragment[m] = low | high << 16;
    }
    const auto [all, conflicts] = wavefronts(addresses, 0xFF, 16);
    engine->counters.ldmatrix_wavefronts += all;
    engine->counters.bank_conflicts += conflicts;
  }
  ++engine->counters.ldmatrix;
}

// The maps of "Matrix Fragments for mma.m16n8k16 with floating point type" and of mma.m16n8k8: with
// g = lane / 4 and t = lane % 4, register i of A holds row g + 8 (i % 2) and, of the 16 or 8
// columns, those of word t + 4 (i / 2); register i of B those of column g; the sums are rows g and
// g + 8 of columns 2 t and 2 t + 1.
template <MatrixType kType>
void compute_mma_of(Warp& warp) {
  constexpr uint32_t kInWord = kType == MatrixType::kTFloat32 ? 1 : 2;
  constexpr uint32_t kDepth = 8 * kInWord;
  double a[16][kDepth], b[kDepth][kRowSums];
  const auto unpack = [](uint32_t word, uint32_t index) -> double {
    if constexpr (kType == MatrixType::kTFloat32) return float_of_bits(word);
    const auto bits = static_cast<uint16_t>(word >> 16 * index);
    if constexpr (kType == MatrixType::kFloat16) return widen(octconv::Float16{bits});
    return widen(octconv::BFloat16{bits});
  };
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const Mma& of_lane = argument<Mma>(warp, lane);
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < kInWord; ++i) {
      for (uint32_t r = 0; r < 4; ++r) {
        a[g + 8 * (r % 2)][(t + 4 * (r / 2)) * kInWord + i] = unpack(of_lane.a[r], i);
      }
      for (uint32_t r = 0; r < 2; ++r) b[(t + 4 * r) * kInWord + i][g] = unpack(of_lane.b[r], i);
    }
  }
  for (uint32_t row = 0; row < 16; ++row) {
    double sum[kRowSums] = {};
    add_row_sums(sum, a[row], 1, b[0], kRowSums, kDepth);
    for (uint32_t column = 0; column < kRowSums; ++column) {
      const Mma& of_lane = argument<Mma>(warp, row % 8 * 4 + column / 2);
      float& to = of_lane.sum[2 * (row / 8) + column % 2];
      to = static_cast<float>(to + sum[column]);
    }
  }
  ++engine->counters.mma;
}

void compute_mma(Warp& warp) {
  const MatrixType type = argument<Mma>(warp, 0).type;
  if (type == MatrixType::kFloat16) return compute_mma_of<MatrixType::kFloat16>(warp);
  if (type == MatrixType::kBFloat16) return compute_mma_of<MatrixType::kBFloat16>(warp);
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const Mma& of_lane = argument<Mma>(warp, lane);
    uint32_t bits = of_lane.b[0] | of_lane.b[1];
    for (uint32_t r = 0; r < 4; ++r) bits |= of_lane.a[r];
    // A NaN's payload may have any bits: that of memory that nobody wrote has all.
    if (bits & 0x1FFF && (bits & 0x7F800000) != 0x7F800000) {
      fail("mma", of_lane.at, "an operand is not rounded to tf32");
    }
  }
  compute_mma_of<MatrixType::kTFloat32>(warp);
}

}  // namespace

uint32_t shuffle(uint32_t value, uint32_t source_lane, const char* instruction, const Site& at) {
  Shuffle mine{value, source_lane % kLanes, 0};
  meet(instruction, at, &mine, [](Warp& warp) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      Shuffle& of_lane = argument<Shuffle>(warp, lane);
      of_lane.result = argument<Shuffle>(warp, of_lane.source_lane).value;
    }
  });
  return mine.result;
}

void load_matrix(uint32_t* fragment, uint32_t matrices, bool transposed, const void* row,
                 uint32_t address, const Site& at) {
  LoadMatrix mine{fragment, matrices, transposed, row, address};
  meet(transposed ? "load_matrix_transposed" : "load_matrix", at, &mine, compute_load_matrix);
}

void row_of_fragments(uint32_t (&row)[4], const uint32_t (&fragment)[4], const Site& at) {
  StoreMatrix mine{row, fragment};
  meet("store_matrix", at, &mine, [](Warp& warp) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      for (uint32_t i = 0; i < 4; ++i) {
        const uint32_t from = lane % 8 * 4 + i;
        argument<StoreMatrix>(warp, lane).row[i] =
            argument<StoreMatrix>(warp, from).fragment[lane / 8];
      }
    }
  });
}

void mma(MatrixType type, float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
         const Site& at) {
  Mma mine{type, sum, a, b, at};
  meet("mma", at, &mine, compute_mma);
}

uint32_t round_tf32(uint32_t bits) {
  // As ptxas makes it: infinity and NaN only lose their lower bits.
  if ((bits & 0x7F800000) == 0x7F800000) return bits & ~0x1FFFu;
  return (bits + 0x1000) & ~0x1FFFu;
}

}  // namespace emulation
