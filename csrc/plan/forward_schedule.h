// When the blocks of a portable forward kernel are through with their items. Plain C++.
#pragma once

#include <cstdint>
#include <vector>

namespace octconv {

// Clocks of an item: from begin to end if it has a multiprocessor for itself, and of the unit
// there that it keeps busy the longest.
struct ItemClocks {
  double alone, busy;
};

struct Schedule {
  std::vector<ItemClocks> high, low;  // one for each split of a tile
  int64_t high_items, low_items;
  int32_t blocks, multiprocessors, rotation;
  double start;  // clocks of a block before its first item

  int64_t items() const { return high_items + low_items; }
};

// Clocks until the last block is through, as the kernel hands out its items. Of more items than a
// few thousand, an estimate.
double makespan(const Schedule& schedule);

// The rotation that makes it shortest, of a few.
int32_t best_rotation(Schedule schedule);

}  // namespace octconv
