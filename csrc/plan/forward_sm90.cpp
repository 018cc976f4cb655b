#include "plan/forward_sm90.h"

#include <algorithm>
#include <sstream>

#include "dtype.h"
#include "plan/coverage.h"
#include "plan/forward_1x1_sm90.h"
#include "plan/splits_sm90.h"
#include "setup/forward_sm90.h"
#include "traits/forward_sm90.h"

namespace octconv {
namespace {

// Fitted to times on an H100 and an H200, at many shares of blocks. Clocks, but for the first.
constexpr double kLaunchUs = 5.8;       // with the first tile's loads
constexpr double kHighTile = 3100;      // beyond its products
constexpr double kHighProducts = 1.16;  // times half a clock for each column
// Of the high input's products through registers: high tiles of one chunk took 0.89 to 0.94 of
// their time in a prototype on an H100, four fifths of it such products; of more chunks 1.03
// to 1.07.
constexpr double kOneChunk = 0.89, kMoreChunks = 1.06;
constexpr double kPooledCell = 21;  // of a chunk of a low tile's box
constexpr double kLowBytes = 19.5;  // that copies bring to a low tile in a clock
constexpr double kBetween = 3000;   // from a block's low tiles to its high ones; assumed

double high_tile_clocks(const Problem& p, const PlanSm90& plan) {
  const double of_low = 2 * 9 * steps_of(p.low_in), of_high = 4 * 2 * 9 * steps_of(p.high_in);
  const double products = of_low + of_high;
  const double clocks = kHighTile + kHighProducts * products * plan.columns[kHigh] / 2;
  if (!plan.through_registers || p.high_in == 0) return clocks;
  const double factor = p.high_in <= kSm90Chunk ? kOneChunk : kMoreChunks;
  return clocks * (1 + (factor - 1) * of_high / products);
}

// Its loads keep it waiting, or pooling and products: if it pools ahead, those of a block's first
// tile one behind the other, later ones at the same time.
double low_tile_clocks(const Problem& p, const PlanSm90& plan, bool input_grad, bool first) {
  const int32_t columns = plan.columns[kLow], cells = kSm90Geometries[plan.geometry].low.cells();
  const int32_t high_chunks = divide_up(p.high_in, kSm90Chunk);
  const int32_t chunks = high_chunks + divide_up(p.low_in, kSm90Chunk);
  const double products = 4 * 9 * (steps_of(p.low_in) + steps_of(p.high_in));
  // Blocks of a transposed weight have their columns, whatever is in them.
  const int32_t of_weight =
      std::max(columns, sm90_columns_of_copy(kSm90Geometries[plan.geometry], input_grad, columns));
  const double weight = plan.tiles[kLow].weights_stay ? 0 : 9.0 * of_weight * chunks * kSm90Cell;
  const double bytes = weight + 2.0 * cells * (4 * p.high_in + p.low_in);
  const double pooling = kPooledCell * cells * high_chunks;
  const double multiplying = products * product_clocks(columns);
  const bool together = plan.pools_ahead && !first;
  const double working = together ? std::max(pooling, multiplying) : pooling + multiplying;
  return std::max(working, bytes / kLowBytes);
}

// Clocks that some of a plan's blocks take for all low tiles: those of a block's first one, and of
// each other.
struct LowClocks {
  double first, other;

  double of(const PlanSm90& plan, int32_t blocks) const {
    return first - other + other * divide_up(plan.tiles[kLow].items, blocks);
  }
};

// Shares the blocks out such that neither octave keeps the other waiting. Clocks until all is done.
double balance(PlanSm90& plan, double high_clocks, const LowClocks& low_clocks) {
  if (plan.tiles[kLow].items == 0 || plan.tiles[kHigh].items == 0) {
    const bool low = plan.tiles[kHigh].items == 0;
    plan.low_blocks = low ? plan.blocks : 0;
    return low ? low_clocks.of(plan, plan.blocks)
               : high_clocks * divide_up(plan.tiles[kHigh].items, plan.blocks);
  }
  double best = 0, best_other = 0;
  for (int32_t low_blocks = 1; low_blocks < plan.blocks; ++low_blocks) {
    const double high = high_clocks * divide_up(plan.tiles[kHigh].items, plan.blocks - low_blocks);
    const double low = low_clocks.of(plan, low_blocks);
    const double longer = std::max(high, low), other = std::min(high, low);
    if (low_blocks > 1 && (longer > best || (longer == best && other >= best_other))) continue;
    best = longer, best_other = other;
    plan.low_blocks = low_blocks;
  }
  return best;
}

// Leaves some high tiles to blocks that have done their low ones, where that takes clearly less
// than `clocks`.
double balance_late(PlanSm90& plan, double high_clocks, const LowClocks& low_clocks,
                    double clocks) {
  const int32_t items = plan.tiles[kHigh].items;
  double least = kWorthwhile * clocks;
  for (int32_t low_blocks = 1; plan.tiles[kLow].items > 0 && low_blocks <= plan.blocks;
       ++low_blocks) {
    const int32_t others = plan.blocks - low_blocks;
    const double low = low_clocks.of(plan, low_blocks) + kBetween;
    // Each of the others takes so many, or one more, that all blocks end at about the same time.
    const double even = (items + low / high_clocks * low_blocks) / plan.blocks;
    for (int32_t early = static_cast<int32_t>(even); early <= even + 1; ++early) {
      const int64_t late = others == 0 ? items : items - int64_t{early} * others;
      if (late <= 0) continue;
      const double longest = std::max(others == 0 ? 0 : early * high_clocks,
                                      low + high_clocks * divide_up(late, low_blocks));
      if (longest >= least) continue;
      least = clocks = longest;
      plan.low_blocks = low_blocks, plan.late_items = static_cast<int32_t>(late);
    }
  }
  return clocks;
}

// Clocks of a tile, or of the longest split of one: of a block's first one, or of others.
double tile_clocks(const Problem& p, const PlanSm90& plan, Octave octave, bool input_grad,
                   bool first = true) {
  const double sums = 256.0 * (octave == kHigh ? 4 : 2) * plan.columns[octave] / 2 * 4;
  const double longest = longest_split(p, octave, plan.splits, [&](const Problem& part) {
    return octave == kHigh ? high_tile_clocks(part, plan)
                           : low_tile_clocks(part, plan, input_grad, first);
  });
  return longest + split_clocks(plan.splits, sums);
}

template <typename Traits>  // of low tiles, and the high ones beside them
PlanSm90 plan_of(const Problem& problem, const DeviceFacts& device, Trials trials) {
  const Problem p = as_convolution(problem);
  const int32_t most_splits = trials & kTrySplits && Traits::kMaySplit ? kMostSplits : 1;
  PlanSm90 plan{}, best{};
  plan.geometry = Traits::kGeometry;
  plan.columns[kHigh] = Traits::kHighColumns, plan.columns[kLow] = Traits::kLowColumns;
  for (const Octave octave : {kHigh, kLow}) {
    plan.tiles[octave] = sm90_tiles(problem, plan.geometry, octave, plan.columns[octave]);
  }
  const bool with_high = Traits::kOnTrial && p.high_in > 0;
  plan.through_registers = with_high && plan.tiles[kHigh].items > 0;
  plan.pools_ahead =
      with_high && plan.tiles[kLow].items > 0 && Traits::pools_ahead(sm90_narrow_strips(p.high_in));
  const int32_t items = plan.tiles[kHigh].items + plan.tiles[kLow].items;
  for (plan.splits = 1; plan.splits <= most_splits; plan.splits *= 2) {
    if (plan.splits > 1 && !have_room(items, plan.splits, device)) break;
    const double high = tile_clocks(p, plan, kHigh, problem.input_grad);
    const double low = tile_clocks(p, plan, kLow, problem.input_grad);
    double clocks;
    if (plan.splits == 1) {
      plan.blocks = std::min(device.multiprocessors, items);
      const LowClocks low_clocks{low, tile_clocks(p, plan, kLow, problem.input_grad, false)};
      clocks = balance(plan, high, low_clocks);
      if (trials & kTryLate) clocks = balance_late(plan, high, low_clocks, clocks);
    } else {
      plan.blocks = items * plan.splits, plan.low_blocks = plan.tiles[kLow].items * plan.splits;
      plan.late_items = 0;
      clocks =
          std::max(plan.tiles[kHigh].items > 0 ? high : 0, plan.tiles[kLow].items > 0 ? low : 0);
    }
    plan.microseconds = kLaunchUs + clocks / device.clock * 1e6;
    if (best.blocks == 0 || plan.microseconds < best.microseconds) best = plan;
  }
  return best;
}

// The one with the smallest images that a problem fits.
int32_t geometry_of(const Problem& p) {
  const int32_t quads = std::max(p.quad_height(), p.quad_width());
  int32_t geometry = 0;
  for (int32_t i = 1; i < kSm90GeometryCount; ++i) {
    const Sm90Geometry& smaller = kSm90Geometries[i];
    if (!smaller.on_trial && quads <= smaller.most_quads) geometry = i;
  }
  return geometry;
}

// Whether tiles on trial may serve a problem of another geometry: linear ones that have its rows;
// others where the high input is one chunk, and pooled ahead.
template <typename Traits>
bool may_try(const Problem& p, int32_t of_problem, Trials trials) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  if (kGeometry.linear) {
    return trials & kTryLinear && p.high_out > 0 && p.quad_width() <= kGeometry.most_quads;
  }
  return trials & kTryRegisters && Traits::kOnTrial &&
         kGeometry.most_quads == kSm90Geometries[of_problem].most_quads && 0 < p.high_in &&
         p.high_in <= kSm90Chunk && Traits::pools_ahead(sm90_narrow_strips(p.high_in));
}

template <typename T>
PlanSm90 plan_3x3(const Problem& problem, const DeviceFacts& device, Trials trials) {
  const Problem p = as_convolution(problem);
  const int32_t geometry = geometry_of(p);
  PlanSm90 best{};
  for_each_sm90<T, false>([&](auto kernel) {  // both directions have the same
    for_each_low_sm90<decltype(kernel)>([&](auto traits) {
      using Traits = decltype(traits);
      if (Traits::kGeometry != geometry && !may_try<Traits>(p, geometry, trials)) return;
      if (Traits::kLowColumns < Traits::kHighColumns && !(trials & kTryNarrow)) return;
      const PlanSm90 plan = plan_of<Traits>(problem, device, trials);
      const double most = best.microseconds * (Traits::kOnTrial ? kWorthwhile : 1);
      if (best.blocks == 0 || plan.microseconds < most) best = plan;
    });
  });
  return best;
}

}  // namespace

const char* why_not_sm90(const Problem& p, ElementType type, const DeviceFacts& device) {
  const char* reason = why_not_hopper(p, type, device, kSm90BlockBytes);
  if (reason) return reason;
  if (p.high_in + p.high_out == 0 || p.low_in + p.low_out == 0) {
    return "a convolution of one part alone";
  }
  if (p.kernel == 1 && std::min(p.high_in, p.high_out) == 0) {
    return "an absent high part, and a kernel of 1x1";
  }
  if (p.kernel == 3 && std::min(p.height, p.width) < 2) return "a single row or column of pixels";
  // Of all parts: so the input gradient of what is covered is covered, too.
  const int32_t most_channels = std::max({p.high_in, p.low_in, p.high_out, p.low_out});
  const int64_t most_tiles = int64_t{p.batch} * divide_up(p.quad_height(), 8) *
                             divide_up(p.quad_width(), 16) * divide_up(most_channels, 32);
  return most_tiles > INT32_MAX / 2 ? "more than 2^30 tiles" : nullptr;
}

PlanSm90 plan_forward_sm90(const Problem& problem, ElementType type, const DeviceFacts& device,
                           Trials trials) {
  PlanSm90 plan = problem.kernel == 1              ? plan_1x1_sm90(problem, device, trials)
                  : type == ElementType::kBFloat16 ? plan_3x3<BFloat16>(problem, device, trials)
                                                   : plan_3x3<Float16>(problem, device, trials);
  plan.overlaps = trials & kTryOverlaps;
  return plan;
}

std::string to_string(const PlanSm90& plan) {
  if (plan.joint_items > 0) return joint_text(plan);
  std::ostringstream text;
  text << "forward_sm90, ";
  for (const Octave octave : {kHigh, kLow}) {
    if (plan.tiles[octave].items == 0) continue;
    const QuadBox tile = sm90_tile(kSm90Geometries[plan.geometry], octave == kHigh);
    text << (octave == kLow ? "low " : "") << tile.width << "x" << tile.height
         << (octave == kHigh ? " quads" : "");
    if (tile.images > 1) text << " of " << tile.images << " images";
    text << " x " << plan.columns[octave] << ", ";
  }
  text << plan.blocks << " blocks";
  if (plan.tiles[kHigh].items > 0 && plan.tiles[kLow].items > 0) {
    text << ", " << plan.low_blocks << " of them for low tiles";
    if (plan.late_items > 0) text << " and then " << plan.late_items << " high ones";
  }
  if (plan.through_registers) text << ", through registers";
  if (plan.pools_ahead) text << ", pooled ahead";
  if (plan.splits > 1) text << ", clusters of " << plan.splits;
  if (plan.overlaps) text << ", overlapping";
  return text.str();
}

}  // namespace octconv
