#include "plan/weight_grad_sm90.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "dtype.h"
#include "plan/coverage.h"
#include "plan/forward_sm80.h"
#include "plan/forward_sm90.h"
#include "plan/weight_grad_1x1_sm90.h"
#include "plan/weight_grad_cost.h"
#include "traits/weight_grad_1x1_sm90.h"
#include "traits/weight_grad_sm90.h"

namespace octconv {
namespace {

// Fitted to times on an H200, but for the last two: of all jobs, of each alone, and without its
// loads or its pooling.
constexpr double kLaunchUs = 4;
// Clocks. A warpgroup waits for each product, which takes half a clock for each column and so many
// more, while the others multiply.
constexpr double kProduct = 145;
constexpr double kStage = 450;   // to meet at a stage's barriers, and to begin its products
constexpr double kItem = 14800;  // until the first stage has come, and to store the sums
// In which each helper pools 16 bytes. Assumed: it was 350 with one window at a time, and a stage
// without any pooling took a fifth less, as one now would by this.
constexpr double kPoolRound = 280;
constexpr double kWorthSplitting = 0.97;  // of the time without, as splits take memory; assumed

constexpr int32_t kMostHeight = 128;  // a box has at most 256 pixels along a side
constexpr int32_t kMostImages = 8;
// Of the memory for stages, the least of which takes the smallest pixel tiles.
constexpr int32_t kMostShares = 16;
static_assert((kSm90BlockBytes - kGradSm90FixedBytes) / kMostShares >=
              GradSm90Cells{2, 1, true}.stage_bytes(64));

// All items of one job, but for their splits.
struct JobWork {
  PixelTile shape;
  int32_t pixel_tiles;
  int64_t tiles;  // of the weight
  double clocks;  // of a pixel tile
  int64_t items() const { return tiles * shape.splits; }
};
using Works = std::array<JobWork, kJobs>;

double stage_clocks(const GradSm90Cells& cells, int32_t tile, const DeviceFacts& device) {
  const double of_product = kProduct + 3 * tile / 2.0;
  const double step = std::max(of_product, kGradSm90Multipliers * 3 * tile / 2.0);
  const int32_t pooled_bytes = cells.pools ? cells.fixed() / 4 * 2 * tile : 0;
  const double pooling = kPoolRound * divide_up(pooled_bytes, 16 * kGradSm90Helpers);
  const double loads = cells.stage_bytes(tile) / device.l2_bytes;
  return std::max(kStage + std::max(cells.steps() * step, pooling), loads);
}

// The pixel tiles of at most so many bytes that take least in all.
JobWork best_work(const Problem& p, int job, int32_t tile, int32_t most_bytes,
                  const DeviceFacts& device) {
  const bool low = job != kHighToHigh, pools = pools_sm90(job);
  const int32_t height = low ? p.quad_height() : p.height, width = low ? p.quad_width() : p.width;
  const int32_t rows = divide_up(of_low_rows(job) ? p.low_out : p.high_out, tile);
  const int32_t columns = divide_up(of_low_columns(job) ? p.low_in : p.high_in, tile);
  const int32_t across = divide_up(width, kGradSm90Width);
  JobWork best{};
  for (int32_t rows_of = 2; rows_of <= std::min(height + 1, kMostHeight); rows_of += 2) {
    for (int32_t images = 1; images <= (rows_of < height ? 1 : kMostImages); ++images) {
      const GradSm90Cells cells{rows_of, images, pools};
      if (cells.stage_bytes(tile) > most_bytes) break;
      const int32_t pixel_tiles = across * divide_up(height, rows_of) * divide_up(p.batch, images);
      const double clocks = stage_clocks(cells, tile, device);
      if (best.tiles > 0 && pixel_tiles * clocks >= best.pixel_tiles * best.clocks) continue;
      best = {{kGradSm90Width, rows_of, 1, images}, pixel_tiles, int64_t{rows} * columns, clocks};
    }
  }
  return best;
}

double item_clocks(const JobWork& work) {
  return kItem + divide_up(work.pixel_tiles, work.shape.splits) * work.clocks;
}

// The least splits at which no item takes longer than `most`, as far as that can be; how many items
// that makes.
int64_t split_within(Works& works, double most) {
  int64_t items = 0;
  for (JobWork& work : works) {
    const auto turns = static_cast<int64_t>((most - kItem) / work.clocks);
    work.shape.splits = divide_up(work.pixel_tiles, std::max<int64_t>(turns, 1));
    items += work.items();
  }
  return items;
}

// Splits until all jobs' items take about equally long, and there are no more of them than
// multiprocessors; then their partial sums are few, too.
void balance(Works& works, const DeviceFacts& device) {
  double low = 0, high = 0;
  for (const JobWork& work : works) high = std::max(high, item_clocks(work));
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (split_within(works, middle) <= device.multiprocessors ? high : low) = middle;
  }
  split_within(works, high);
}

// Clocks until the last item has ended.
double makespan(const Works& works, const DeviceFacts& device) {
  double all = 0, longest = 0;
  int64_t items = 0;
  for (const JobWork& work : works) {
    all += work.items() * item_clocks(work);
    longest = std::max(longest, item_clocks(work));
    items += work.items();
  }
  return items <= device.multiprocessors ? longest : all / device.multiprocessors + longest / 2;
}

GradPlanSm90 plan_of(const Problem& p, int32_t tile, const Works& works,
                     const DeviceFacts& device) {
  GradPlanSm90 plan{};
  plan.cut.tile = tile;
  for (int i = 0; i < kJobs; ++i) plan.cut.pixel_tiles[i] = works[i].shape;
  const WeightGradSm90Params params = weight_grad_sm90_params(p, plan.cut, pointers_of_plan());
  for (int i = 0; i < kJobs; ++i) plan.items[i] = params.job[i].items();
  plan.partial_sums = params.sums;
  const double us = 1e6 / device.clock, tiles = makespan(works, device) * us;
  // Each map is read by two jobs.
  const double memory = 2 * memory_bytes(p, 2) / device.memory_bytes * 1e6;
  plan.microseconds = kLaunchUs + side_by_side(tiles, memory);
  if (params.positions > 0) {
    plan.microseconds += kLaunchUs + splits_clocks(device, params) * us;
  }
  return plan;
}

double cost(const GradPlanSm90& plan) {
  return plan.microseconds / (plan.partial_sums > 0 ? kWorthSplitting : 1);
}

}  // namespace

const char* why_not_grad_sm90(const Problem& p, ElementType type, const DeviceFacts& device) {
  const char* reason = why_not_hopper(p, type, device, kSm90BlockBytes);
  if (reason) return reason;
  const bool absent = std::min({p.high_in, p.low_in, p.high_out, p.low_out}) == 0;
  return absent ? "an absent part" : nullptr;
}

bool faster_than_portable(const Problem& p, const GradPlanSm90& plan) {
  const int32_t channels_of_one = plan.joint.columns / kJointGradMultipliers;
  return plan.joint.splits == 0 || std::max(p.high_in, p.low_in) > channels_of_one;
}

GradPlanSm90 plan_weight_grad_sm90(const Problem& p, ElementType, const DeviceFacts& device) {
  if (p.kernel == 1) return plan_joint_grad_sm90(p, device);
  GradPlanSm90 best{};
  for_each_grad_sm90<BFloat16>([&](auto traits) {  // the same for float16
    constexpr int32_t kTile = decltype(traits)::kTile;
    for (int32_t shares = kGradSm90LeastStages; shares <= kMostShares; ++shares) {
      const int32_t most_bytes = (kSm90BlockBytes - kGradSm90FixedBytes) / shares;
      Works works;
      for (int i = 0; i < kJobs; ++i) works[i] = best_work(p, i, kTile, most_bytes, device);
      const auto consider = [&] {
        const GradPlanSm90 plan = plan_of(p, kTile, works, device);
        if (best.cut.tile == 0 || cost(plan) < cost(best)) best = plan;
      };
      consider();  // without splits there is nothing to be added up
      balance(works, device);
      consider();
    }
  });
  return best;
}

std::string to_string(const GradPlanSm90& plan) {
  if (plan.joint.splits > 0) return joint_text(plan);
  std::ostringstream text;
  text << "weight_grad_sm90, " << plan.cut.tile << "x" << plan.cut.tile << " tiles";
  int64_t items = 0;
  for (int i = 0; i < kJobs; ++i) {
    const PixelTile& tile = plan.cut.pixel_tiles[i];
    text << ", " << kJobNames[i] << " " << tile.width << "x" << tile.height << " pixels";
    if (tile.images > 1) text << " of " << tile.images << " images";
    if (tile.splits > 1) text << " in " << tile.splits << " splits";
    items += plan.items[i];
  }
  text << ", " << items << " blocks";
  return text.str();
}

}  // namespace octconv
