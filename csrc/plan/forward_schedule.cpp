#include "plan/forward_schedule.h"

#include <algorithm>

namespace octconv {
namespace {

constexpr int64_t kMostSimulated = 4096;

// What all items take if every multiprocessor has the same share of all of them.
double even_share(const Schedule& s) {
  ItemClocks all{};
  double longest = 0;
  const auto add = [&](const std::vector<ItemClocks>& splits, int64_t items) {
    for (const ItemClocks& item : splits) {
      all.alone += item.alone * items / splits.size();
      all.busy += item.busy * items / splits.size();
      if (items > 0) longest = std::max(longest, item.alone);
    }
  };
  add(s.high, s.high_items);
  add(s.low, s.low_items);
  return s.start + std::max(all.alone / s.blocks, all.busy / s.multiprocessors) + longest / 2;
}

}  // namespace

double makespan(const Schedule& s) {
  const int64_t items = s.items();
  if (items > kMostSimulated) return even_share(s);
  std::vector<ItemClocks> blocks(s.blocks, ItemClocks{s.start, 0});
  size_t high_split = 0, low_split = 0;
  int64_t remainder = 0;  // of (item * low_items) / items
  int32_t turned = 0;
  for (int64_t wave = 0; wave < items;
       wave += s.blocks, turned = (turned + s.rotation) % s.blocks) {
    const auto places = static_cast<int32_t>(std::min<int64_t>(s.blocks, items - wave));
    for (int32_t place = 0; place < places; ++place) {
      remainder += s.low_items;
      const bool low = remainder >= items;
      if (low) remainder -= items;
      const ItemClocks& item = low ? s.low[low_split] : s.high[high_split];
      if (low) low_split = low_split + 1 == s.low.size() ? 0 : low_split + 1;
      if (!low) high_split = high_split + 1 == s.high.size() ? 0 : high_split + 1;
      ItemClocks& block = blocks[place >= turned ? place - turned : place - turned + s.blocks];
      block.alone += item.alone;
      block.busy += item.busy;
    }
  }
  // Blocks that share a multiprocessor fill each other's pauses, but not what it is busy with.
  double last = 0;
  for (int32_t first = 0; first < std::min(s.blocks, s.multiprocessors); ++first) {
    double busy = 0;
    for (int32_t block = first; block < s.blocks; block += s.multiprocessors) {
      busy += blocks[block].busy;
      last = std::max({last, busy, blocks[block].alone});
    }
  }
  return last;
}

int32_t best_rotation(Schedule schedule) {
  // The order repeats itself: what is best for its beginning is best.
  if (schedule.items() > kMostSimulated) {
    const double share = double(kMostSimulated - 1) / schedule.items();
    schedule.high_items = static_cast<int64_t>(schedule.high_items * share);
    schedule.low_items = static_cast<int64_t>(schedule.low_items * share);
  }
  int32_t best = 0;
  double least = -1;
  const int32_t blocks = schedule.blocks;
  for (const int32_t rotation : {blocks / 2, blocks / 3, blocks / 4, blocks * 3 / 8, 1, 0}) {
    schedule.rotation = rotation;
    const double clocks = makespan(schedule);
    if (least < 0 || clocks < least) least = clocks, best = rotation;
  }
  return best;
}

}  // namespace octconv
