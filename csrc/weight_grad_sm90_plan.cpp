#include "weight_grad_sm90_plan.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "dtype.h"
#include "weight_grad_1x1_sm90_plan.h"
#include "weight_grad_plan.h"
#include "weight_grad_sm90_traits.h"

namespace octconv {
namespace {

// Clocks, but for the first.
constexpr double kLaunchUs = 4;
constexpr double kLatency = 2500;  // from a copy's issue to its end, under load
constexpr double kStage = 100;     // beyond its products
constexpr double kItem = 5000;     // until the first stage has come, and from the last one on
constexpr double kSharedBytes = 128, kL2Bytes = 28;  // a clock

constexpr int32_t kMostHeight = 128;  // a box has at most 256 pixels along a side
constexpr int32_t kMostImages = 8;

// All items of one job, but for their splits.
struct JobWork {
  PixelTile shape;
  int32_t pixel_tiles;
  int64_t tiles;  // of the weight
  double clocks;  // of a pixel tile
};
using Works = std::array<JobWork, kJobs>;

double stage_clocks(const GradSm90Cells& cells, int32_t tile) {
  const int32_t steps = cells.steps(), bytes = cells.stage_bytes(tile);
  const int32_t stages =
      std::min((kGradSm90BlockBytes - kGradSm90FixedBytes) / bytes, kGradSm90MostStages);
  const double products = 9 * tile / 2.0 * steps;
  // Of a step: the shifted operand once for each tap, the fixed one for each warpgroup, and what is
  // pooled.
  const double operands = (9 + kGradSm90Multipliers + (cells.pools ? 5 : 0)) * 32.0 * tile;
  const double shared = (operands * steps + bytes) / kSharedBytes;
  return kStage + std::max({products, shared, bytes / kL2Bytes, kLatency / (stages - 1)});
}

// The pixel tiles of at most so many bytes that take least in all.
JobWork best_work(const Problem& p, int job, int32_t tile, int32_t most_bytes) {
  const bool low = job > 0, pools = job == 1 || job == 2;
  const int32_t height = low ? p.quad_height() : p.height, width = low ? p.quad_width() : p.width;
  const int32_t rows = divide_up(job < 2 ? p.high_out : p.low_out, tile);
  const int32_t columns = divide_up(job % 2 == 0 ? p.high_in : p.low_in, tile);
  const int32_t across = divide_up(width, kGradSm90Width);
  JobWork best{};
  for (int32_t rows_of = 2; rows_of <= std::min(height + 1, kMostHeight); rows_of += 2) {
    for (int32_t images = 1; images <= (rows_of < height ? 1 : kMostImages); ++images) {
      const GradSm90Cells cells{rows_of, images, pools};
      if (cells.stage_bytes(tile) > most_bytes) break;
      const int32_t pixel_tiles = across * divide_up(height, rows_of) * divide_up(p.batch, images);
      const double clocks = stage_clocks(cells, tile);
      if (best.tiles > 0 && pixel_tiles * clocks >= best.pixel_tiles * best.clocks) continue;
      best = {{kGradSm90Width, rows_of, 1, images}, pixel_tiles, int64_t{rows} * columns, clocks};
    }
  }
  return best;
}

double item_clocks(const JobWork& work, int32_t splits) {
  return kItem + divide_up(work.pixel_tiles, splits) * work.clocks;
}

// The least splits at which no item takes longer than `most`, as far as that can be; how many items
// that makes.
int64_t split_within(Works& works, double most) {
  int64_t items = 0;
  for (JobWork& work : works) {
    const auto turns = static_cast<int64_t>((most - kItem) / work.clocks);
    work.shape.splits = divide_up(work.pixel_tiles, std::max<int64_t>(turns, 1));
    items += work.tiles * work.shape.splits;
  }
  return items;
}

// Splits until all jobs' items take about equally long, and there are no more of them than
// multiprocessors; then their partial sums are few, too. Clocks until the last item has ended.
double balance(Works& works, const DeviceFacts& device) {
  double low = 0, high = 0, all = 0;
  for (const JobWork& work : works) high = std::max(high, item_clocks(work, 1));
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (split_within(works, middle) <= device.multiprocessors ? high : low) = middle;
  }
  if (split_within(works, high) <= device.multiprocessors) return high;
  for (const JobWork& work : works) all += work.tiles * item_clocks(work, 1);
  return all / device.multiprocessors + high / 2;
}

}  // namespace

const char* why_not_grad_sm90(const Problem& p, ElementType type, const DeviceFacts& device) {
  if (device.major != 9 || device.minor != 0) return "a GPU of another compute capability than 9.0";
  if (device.shared_per_block < kGradSm90BlockBytes) return "a GPU with too little shared memory";
  if (type == ElementType::kTFloat32) return "tf32, and kernels for bfloat16 and float16";
  if ((p.kernel != 3 && p.kernel != 1) || p.stride != 1) {
    return "another kernel than 1x1 or 3x3 at stride 1";
  }
  if (std::min({p.high_in, p.low_in, p.high_out, p.low_out}) == 0) return "an absent part";
  const int64_t channels = std::max({p.high_in, p.low_in, p.high_out, p.low_out});
  if (int64_t{p.height} * p.width * channels >= int64_t{1} << 39) {
    return "an image of 2^40 bytes or more";
  }
  return nullptr;
}

GradPlanSm90 plan_weight_grad_sm90(const Problem& p, ElementType, const DeviceFacts& device) {
  if (p.kernel == 1) return plan_joint_grad_sm90(p, device);
  GradPlanSm90 best{};
  for_each_grad_sm90<BFloat16>([&](auto traits) {  // the same for float16
    constexpr int32_t kTile = decltype(traits)::kTile;
    for (int32_t stages = kGradSm90LeastStages; stages <= kGradSm90MostStages; ++stages) {
      Works works;
      for (int i = 0; i < kJobs; ++i) {
        works[i] = best_work(p, i, kTile, (kGradSm90BlockBytes - kGradSm90FixedBytes) / stages);
      }
      const double us = kLaunchUs + balance(works, device) / device.clock * 1e6;
      if (best.cut.tile > 0 && us >= best.microseconds) continue;
      best = {};
      best.cut.tile = kTile, best.microseconds = us;
      for (int i = 0; i < kJobs; ++i) best.cut.pixel_tiles[i] = works[i].shape;
    }
  });
  WeightGradPointers nowhere{};
  const WeightGradSm90Params params = weight_grad_sm90_params(p, best.cut, nowhere);
  for (int i = 0; i < kJobs; ++i) best.items[i] = params.job[i].items();
  best.partial_sums = partial_sums_of(params);
  if (best.partial_sums > 0) best.microseconds += kLaunchUs;
  return best;
}

std::string to_string(const GradPlanSm90& plan) {
  if (plan.joint.splits > 0) return joint_text(plan);
  std::ostringstream text;
  text << "weight_grad_sm90, " << plan.cut.tile << "x" << plan.cut.tile << " tiles";
  const char* names[kJobs] = {"W_HH", "W_LH", "W_HL", "W_LL"};
  int64_t items = 0;
  for (int i = 0; i < kJobs; ++i) {
    const PixelTile& tile = plan.cut.pixel_tiles[i];
    text << ", " << names[i] << " " << tile.width << "x" << tile.height << " pixels";
    if (tile.images > 1) text << " of " << tile.images << " images";
    if (tile.splits > 1) text << " in " << tile.splits << " splits";
    items += plan.items[i];
  }
  text << ", " << items << " blocks";
  return text.str();
}

}  // namespace octconv
