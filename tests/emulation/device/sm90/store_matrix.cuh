// Host twin of csrc/device/sm90/store_matrix.cuh.
#pragma once

#include <cstdint>
#include <cstring>

#include "device/memory.cuh"
#include "runtime/warp.h"

namespace octconv::ptx {

using emulation::Site;

inline void store_matrix(uint32_t row, const uint32_t (&fragment)[4], Site at = Site::current()) {
  Word128 word;
  emulation::row_of_fragments(word.word, fragment, at);
  write_word(emulation::shared_store(row, 16, "store_matrix", at), word);
}

}  // namespace octconv::ptx
