#include "plan/forward_1x1_sm90.h"

#include <algorithm>
#include <sstream>

#include "dtype.h"
#include "plan/forward_sm80.h"
#include "plan/splits_sm90.h"
#include "setup/forward_1x1_sm90.h"
#include "traits/forward_1x1_sm90.h"

namespace octconv {
namespace {

// Fitted to times on an H100 and an H200.
constexpr double kLaunchUs = 5;
constexpr double kItem = 1200;  // clocks: to wait for an item's first box, and to store its results
// Clocks from a copy's issue to the data in shared memory; assumed, a bound of small boxes alone.
constexpr double kLatency = 1160;

constexpr int32_t kLeastBoxes = 7, kMostSlots = 4;
// From which on no boxes of fewer quads are tried: there would be more than an int32_t counts.
constexpr int32_t kManyItems = 1 << 20;

// Buffers that fill the shared memory: for all chunks of the weight where they leave room enough
// for boxes, else for some.
template <typename Traits>
void share_out(JointCut& cut, int32_t chunks) {
  cut.slots = chunks;
  if (Traits::shared_bytes(kLeastBoxes, chunks) > kSm90BlockBytes) {
    cut.slots = 1;
    while (cut.slots < kMostSlots &&
           Traits::shared_bytes(kLeastBoxes, cut.slots + 1) <= kSm90BlockBytes) {
      ++cut.slots;
    }
  }
  cut.boxes = kLeastBoxes;
  while (Traits::shared_bytes(cut.boxes + 1, cut.slots) <= kSm90BlockBytes) ++cut.boxes;
}

// Of an item, or of a split of one.
double item_clocks(const Problem& p, const JointCut& cut, const DeviceFacts& device) {
  const JointSm90Params params = joint_sm90_params(p, cut, {});
  const int octaves = params.channels_out[kLow] > 0 ? 2 : 1;
  const double steps =
      steps_of(params.channels_in[kLow]) + 4.0 * steps_of(params.channels_in[kHigh]);
  const double products = 2 * octaves * steps;
  const double rows = cut.row_groups * cut.box.cells(), columns = cut.column_groups * cut.columns;
  const double in = params.channels_in[kLow] + 4.0 * params.channels_in[kHigh];
  // As fitted: of the input gradient, too, the layer's inputs are counted.
  const double weight = cut.weights_stay ? 0 : octaves * columns * (p.high_in + p.low_in);
  const double elements = rows * in + weight / cut.sharers + (3 + octaves) * rows * columns;
  const int32_t boxes = divide_up(params.channels_in[kLow], kSm90Chunk) +
                        4 * divide_up(params.channels_in[kHigh], kSm90Chunk);
  return kItem + std::max({products * product_clocks(cut.columns), 2 * elements / device.l2_bytes,
                           kLatency * boxes / cut.boxes});
}

double microseconds(const Problem& p, const JointSm90Params& params, const JointCut& cut,
                    int32_t blocks, const DeviceFacts& device) {
  const double item =
      longest_split(p, kHigh, cut.splits,
                    [&](const Problem& part) { return item_clocks(part, cut, device); }) +
      split_clocks(cut.splits, joint_sums_bytes(cut.columns));
  const double tiles = divide_up(params.items * cut.cluster(), blocks) * item / device.clock;
  const double memory = memory_bytes(p, 2) / device.memory_bytes;
  return kLaunchUs + 1e6 * side_by_side(tiles, memory);
}

template <typename Traits>
PlanSm90 plan_of(const Problem& p, const QuadBox& box, const DeviceFacts& device, Trials trials) {
  PlanSm90 plan{};
  JointCut& cut = plan.joint;
  cut = {Traits::kColumns, Traits::kRowGroups, Traits::kColumnGroups, box, 0, 0, false, 1, 1};
  const ForwardPointers none{};
  const int32_t chunks = joint_chunks(p);
  share_out<Traits>(cut, chunks);
  const JointSm90Params params = joint_sm90_params(p, cut, none);
  plan.joint_items = params.items;
  plan.blocks = std::min(device.multiprocessors, params.items);
  if (cut.slots == chunks && plan.blocks >= params.columns) {
    plan.blocks -= plan.blocks % params.columns;  // so that a block has the same columns always
    cut.weights_stay = true;
  }
  plan.microseconds = microseconds(p, params, cut, plan.blocks, device);
  PlanSm90 best = plan;
  const auto consider = [&](int32_t clusters, const JointSm90Params& of_plan, double most) {
    plan.joint_items = of_plan.items;
    plan.blocks = clusters * cut.cluster();
    plan.microseconds = microseconds(p, of_plan, cut, plan.blocks, device);
    if (plan.microseconds < most) best = plan;
  };
  // Both blocks must have boxes.
  if (trials & kTrySharers && !cut.weights_stay && params.items > params.columns) {
    cut.sharers = kSharers;
    const JointSm90Params shared = joint_sm90_params(p, cut, none);
    consider(std::min(device.multiprocessors / kSharers, shared.items), shared,
             kWorthwhile * best.microseconds);
    cut.sharers = 1;
  }
  // The buffers hold the sums, where splits are added up.
  const bool may_split = trials & kTrySplits && Traits::buffer_bytes(cut.boxes, cut.slots) >=
                                                    joint_sums_bytes(cut.columns);
  cut.weights_stay = false;
  for (cut.splits = 2; may_split && cut.splits <= kMostSplits; cut.splits *= 2) {
    if (!have_room(params.items, cut.splits, device)) break;
    consider(params.items, params, best.microseconds);
  }
  return best;
}

void keep_faster(PlanSm90& best, const PlanSm90& plan) {
  if (best.blocks == 0 || plan.microseconds < best.microseconds) best = plan;
}

PlanSm90 plan_with(const QuadBox& box, const Problem& p, const DeviceFacts& device, Trials trials) {
  PlanSm90 best{};
  const auto consider = [&](auto traits) {  // bfloat16's; the same for float16
    keep_faster(best, plan_of<decltype(traits)>(p, box, device, trials));
  };
  p.input_grad ? for_each_joint_sm90<BFloat16, true>(consider)
               : for_each_joint_sm90<BFloat16, false>(consider);
  return best;
}

}  // namespace

PlanSm90 plan_1x1_sm90(const Problem& p, const DeviceFacts& device, Trials trials) {
  QuadBox box = fewest_boxes(p);
  PlanSm90 best = plan_with(box, p, device, trials);
  if (!(trials & kTrySmall) || best.joint_items >= kManyItems) return best;
  PlanSm90 smaller{};
  while (box.cells() > 1) {
    box = fewest_boxes(p, box.cells() - 1);
    keep_faster(smaller, plan_with(box, p, device, trials));
  }
  const bool worthwhile =
      smaller.blocks > 0 && smaller.microseconds < kWorthwhile * best.microseconds;
  return worthwhile ? smaller : best;
}

std::string joint_text(const PlanSm90& plan) {
  const JointCut& cut = plan.joint;
  std::ostringstream text;
  text << "forward_1x1_sm90, ";
  if (cut.row_groups > 1) text << cut.row_groups << " * ";
  text << cut.box.width << "x" << cut.box.height << " quads";
  if (cut.box.images > 1) text << " of " << cut.box.images << " images";
  text << " x ";
  if (cut.column_groups > 1) text << cut.column_groups << " * ";
  text << cut.columns << " columns, " << cut.boxes << " boxes, " << cut.slots << " slots"
       << (cut.weights_stay ? " that stay, " : ", ") << plan.blocks << " blocks";
  if (cut.splits > 1) text << ", clusters of " << cut.splits;
  if (cut.sharers > 1) text << ", " << cut.sharers << " to a weight";
  if (plan.overlaps) text << ", overlapping";
  return text.str();
}

}  // namespace octconv
