// All probes: for their launcher on a GPU and for the emulation.
#pragma once

#include "kernels/probes.cuh"
#include "kernels/probes_sm90.cuh"
#include "kernels/probes_together.cuh"
#include "launch_shape.h"

namespace octconv {

// A tensor of 16-bit elements that begins at a byte of the input, or of the output, as TensorView
// describes it; rank 0 for none.
struct ProbeTensor {
  uint32_t offset;
  int32_t rank;
  uint64_t sizes[5], strides[4];
  uint32_t box[5];
  bool of_output = false;
};

struct Probe {
  const char* name;
  void (*kernel)(ProbeParams);
  LaunchShape shape;
  uint32_t in_bytes, out_bytes;
  ProbeTensor tensors[kProbeMaps] = {};
};

namespace probe {

using Kernel = void (*)(ProbeParams);

// The sizes are those of an element.
constexpr Probe numbers(const char* name, Kernel kernel, uint32_t in_bytes, uint32_t out_bytes) {
  return {name, kernel, {4, 64}, kElements * in_bytes, kElements * out_bytes};
}

template <typename Word>
constexpr Probe copy(const char* name, Kernel kernel, uint32_t copies) {
  constexpr uint32_t kBytes = kWords * sizeof(Word);
  return {name, kernel, {2, kWords / 2}, kBytes, copies * kBytes};
}

constexpr Probe through_shared(const char* name, Kernel kernel, uint32_t threads, uint32_t bytes,
                               uint32_t more_out_bytes = 0) {
  return {name, kernel, {1, threads, 1, bytes}, bytes, bytes + more_out_bytes};
}

template <uint32_t kMatrices, bool kTransposed>
constexpr Probe matrices(const char* name) {
  return {name, load_matrix<kMatrices, kTransposed>, {1, 32, 1, 512}, 512 + 128, 128 * kMatrices};
}

template <typename T>
constexpr Probe products(const char* name) {
  constexpr uint32_t kThreads = kProducts * 32;
  return {name, mma<T>, {kProducts, 32}, kThreads * kProductWords * 4, kThreads * 16};
}

constexpr Probe sums(const char* name, Kernel kernel) {
  constexpr uint32_t kBlockBytes = 4 * kSumThreads;
  return {name,
          kernel,
          {kSumBlocks, kSumThreads, 1, 16},
          kSumBlocks * kBlockBytes,
          (kSumBlocks + 1) * kBlockBytes};
}

constexpr Probe overlapping(const char* name) {
  constexpr uint32_t kBytes = 4 * 2 * kOverlappingThreads;
  return {name,
          copy_behind_prerequisites<uint32_t>,
          {2, kOverlappingThreads, 1, 0, 1, true},
          kBytes,
          kBytes};
}

// Of two clusters.
template <typename Word, uint32_t kBlocks>
constexpr Probe rounds(const char* name) {
  constexpr uint32_t kBlockBytes = sizeof(Word) * kRoundThreads, kBytes = 2 * kBlocks * kBlockBytes;
  return {name,
          pass_round<Word, kBlocks>,
          {2 * kBlocks, kRoundThreads, 1, kBlockBytes, kBlocks},
          kBytes,
          kBlocks * kBytes};
}

template <typename T, int kColumns, bool kTransposed = false, Patch kPatch = Patch::kCopied>
constexpr Probe patches(const char* name) {
  constexpr uint32_t kPixelsBytes = kPixels * kPixelBytes;
  constexpr RowParts kParts(kColumns, kTransposed);
  constexpr uint32_t kWidth = kTransposed ? kColumns : kPatchDepth, kBytes = 2 * kWidth;
  return {name,
          multiply_patch<T, kColumns, kTransposed, kPatch>,
          {1, 128, 1, kPatchBytes + kParts.count * kParts.bytes() + 16},
          kPixelsBytes + kColumns * kPixelBytes,
          64 * kColumns * 4,
          {{0, 4, {64, 10, 10, 1}, {128, 1280, 12800}, {64, 10, 10, 1}},
           {kPixelsBytes,
            4,
            {kWidth, kParts.rows, 1, 1},
            {kBytes, kParts.rows * kBytes, kParts.rows * kBytes},
            {kParts.row_bytes / 2, kParts.rows, 1, 1}}}};
}

template <typename T, int kColumns, bool kTransposed = false>
constexpr Probe through_registers(const char* name) {
  return patches<T, kColumns, kTransposed, Patch::kThroughRegisters>(name);
}

}  // namespace probe

// Every shape of product that the device layer has.
#define OCTCONV_PATCHES(T, name)                                                \
  probe::patches<T, 32>(name "_32"), probe::patches<T, 64>(name "_64"),         \
      probe::patches<T, 128>(name "_128"), probe::patches<T, 160>(name "_160"), \
      probe::patches<T, 32, true>(name "_32_transposed"),                       \
      probe::patches<T, 64, true>(name "_64_transposed"),                       \
      probe::patches<T, 128, true>(name "_128_transposed"),                     \
      probe::patches<T, 160, true>(name "_160_transposed"),                     \
      probe::through_registers<T, 32>(name "_32_registers"),                    \
      probe::through_registers<T, 64>(name "_64_registers"),                    \
      probe::through_registers<T, 32, true>(name "_32_transposed_registers"),   \
      probe::through_registers<T, 64, true>(name "_64_transposed_registers"),   \
      probe::through_registers<T, 96, true>(name "_96_transposed_registers"),   \
      probe::through_registers<T, 128, true>(name "_128_transposed_registers"), \
      probe::through_registers<T, 192, true>(name "_192_transposed_registers")

inline const Probe kProbes[] = {
    {"ids", probe::ids, {3, 8, 9}, 0, 3 * 8 * 9 * 4 * probe::kIds},

    probe::numbers("float_bits", probe::float_bits, 4, 8),
    probe::numbers("wide_types", probe::wide_types, 4, 12),
    probe::numbers("widen_float16", probe::widen<Float16>, 2, 4),
    probe::numbers("widen_bfloat16", probe::widen<BFloat16>, 2, 4),
    probe::numbers("narrow_float16", probe::narrow<Float16>, 4, 2),
    probe::numbers("narrow_bfloat16", probe::narrow<BFloat16>, 4, 2),
    probe::numbers("narrow_pair_float16", probe::narrow_pair<Float16>, 4, 2),
    probe::numbers("narrow_pair_bfloat16", probe::narrow_pair<BFloat16>, 4, 2),
    probe::numbers("round_tf32", probe::round_tf32, 4, 4),
    probe::numbers("approximations", probe::approximations, 4, 8),
    probe::numbers("maxima", probe::maxima, 4, 8),

    probe::copy<uint16_t>("reverse_16", probe::reverse<uint16_t>, 1),
    probe::copy<uint32_t>("reverse_32", probe::reverse<uint32_t>, 1),
    probe::copy<uint64_t>("reverse_64", probe::reverse<uint64_t>, 1),
    probe::copy<ptx::Word128>("reverse_128", probe::reverse<ptx::Word128>, 1),
    probe::copy<uint16_t>("load_written_16", probe::load_written<uint16_t>, 2),
    probe::copy<uint32_t>("load_written_32", probe::load_written<uint32_t>, 2),
    probe::copy<uint64_t>("load_written_64", probe::load_written<uint64_t>, 2),
    probe::copy<ptx::Word128>("load_written_128", probe::load_written<ptx::Word128>, 2),

    probe::through_shared("shared_128_64", probe::shared_words<ptx::Word128, uint64_t>, 128,
                          probe::kSharedBytes),
    probe::through_shared("shared_64_32", probe::shared_words<uint64_t, uint32_t>, 128,
                          probe::kSharedBytes),
    probe::through_shared("shared_32_128", probe::shared_words<uint32_t, ptx::Word128>, 128,
                          probe::kSharedBytes),
    probe::through_shared("shared_buffers", probe::shared_buffers, probe::kBufferWords,
                          4 * probe::kBufferWords, 8),
    probe::through_shared("copy_bytes", probe::copy_bytes, 32, 16 * 32),
    probe::through_shared("copy_groups", probe::copy_groups, probe::kCopyThreads,
                          16 * probe::kCopies * probe::kCopyThreads),

    probe::through_shared("sync_block", probe::sync_block, probe::kMeeting, 4 * probe::kMeeting),
    probe::through_shared("sync_warp", probe::sync_warp, probe::kMeeting, 4 * probe::kMeeting),
    probe::through_shared("sync_named", probe::sync_named, probe::kMeeting, 4 * probe::kMeeting),
    {"arrive_named",
     probe::arrive_named,
     {1, 32 * (1 + probe::kReaders), 1, 128},
     128 * probe::kRounds,
     128 * probe::kRounds * probe::kReaders},
    {"pass_registers",
     probe::pass_registers,
     {1, probe::kPassing},
     4 * probe::kPassing,
     4 * probe::kPassing},
    {"shuffles", probe::shuffles, {1, 64}, 64 * 3 * 4, 64 * 2 * 4},

    probe::matrices<1, false>("load_matrix_1"),
    probe::matrices<2, false>("load_matrix_2"),
    probe::matrices<4, false>("load_matrix_4"),
    probe::matrices<1, true>("load_matrix_transposed_1"),
    probe::matrices<2, true>("load_matrix_transposed_2"),
    probe::matrices<4, true>("load_matrix_transposed_4"),
    probe::products<Float16>("mma_float16"),
    probe::products<BFloat16>("mma_bfloat16"),
    probe::products<TFloat32>("mma_float32"),

    {"atomic_adds",
     probe::atomic_adds,
     {1, probe::kAdders},
     8 * probe::kAdders,
     24 * probe::kAdders},
    {"tickets", probe::tickets, {4, probe::kTickets / 4}, 0, 8 * probe::kTickets},
    probe::sums("last_block", probe::last_block<false>),
    probe::sums("last_block_fences", probe::last_block<true>),

    {"count_arrivals",
     probe::count_arrivals<uint32_t>,
     {1, 32 * (1 + probe::kCountingReaders), 1, 128 + 16},
     128 * probe::kCountedRounds,
     128 * probe::kCountedRounds * probe::kCountingReaders},
    probe::overlapping("copy_behind_prerequisites"),
    probe::rounds<uint32_t, 2>("pass_round_2_32"),
    probe::rounds<uint64_t, 4>("pass_round_4_64"),
    probe::rounds<ptx::Word128, 4>("pass_round_4_128"),
    // 20 rows of 3 taps of 72 channels.
    {"copy_box_3",
     probe::copy_box<3>,
     {1, 64, 1, probe::kShift + 128 * probe::kBox3Rows + 16},
     20 * 3 * 72 * 2,
     128 * probe::kBox3Rows,
     {{0, 3, {72, 20, 3}, {432, 144}, {64, 16, 1}}}},
    // 40 channels of 5 x 3 pixels of 2 images.
    {"copy_box_4",
     probe::copy_box<4>,
     {1, 64, 1, probe::kShift + 128 * probe::kBox4Rows + 16},
     2 * 3 * 5 * 40 * 2,
     128 * probe::kBox4Rows,
     {{0, 4, {40, 5, 3, 2}, {80, 400, 1200}, {64, 4, 3, 2}}}},
    // 24 rows of 3 taps of 72 channels, rows split by 2, 3 and 4 as 8 i + 2 j + k.
    {"copy_box_5",
     probe::copy_box<5>,
     {1, 64, 1, probe::kShift + 128 * probe::kBox5Rows + 16},
     24 * 3 * 72 * 2,
     128 * probe::kBox5Rows,
     {{0, 5, {72, 2, 3, 4, 3}, {432, 3456, 864, 144}, {64, 2, 4, 4, 1}}}},
    // Of each of two clusters, 16 rows in each round.
    {"share_boxes",
     probe::share_boxes<ptx::Word128>,
     {4, 64, 1, 2 * 128 * probe::kSharedRows + 16, 2},
     2 * probe::kSharedRounds * 2 * probe::kSharedRows * 128,
     4 * probe::kSharedRounds * 2 * probe::kSharedRows * 128,
     {{0, 4, {64, 16, 3, 2}, {128, 2048, 6144}, {64, probe::kSharedRows, 1, 1}}}},
    OCTCONV_PATCHES(BFloat16, "multiply_bfloat16"),
    OCTCONV_PATCHES(Float16, "multiply_float16"),
    probe::patches<BFloat16, 64, false, probe::Patch::kStored>("multiply_stored_64"),
    {"store_matrix", probe::store_matrix<uint32_t>, {1, 32, 1, 512}, 512, 512},
    // To all 40 channels of 5 x 3 pixels of 2 images.
    {"store_box",
     probe::store_box<ptx::Word128>,
     {1, 64, 1, 128 * probe::kStoredRows},
     128 * probe::kStoredRows,
     2 * 3 * 5 * 40 * 2,
     {{0, 4, {40, 5, 3, 2}, {80, 400, 1200}, {64, 7, 4, 2}, true}}},
};

#undef OCTCONV_PATCHES

}  // namespace octconv
