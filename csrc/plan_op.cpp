// octconv_cuda::plan_forward and its like, which show how a problem would be launched on a GPU by
// its name, as JSON.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "check/check.h"
#include "plan/coverage.h"
#include "plan/forward_sm80.h"
#include "plan/forward_sm90.h"
#include "plan/weight_grad_sm80.h"
#include "plan/weight_grad_sm90.h"
#include "setup/forward_1x1_sm90.h"
#include "setup/weight_grad_1x1_sm90.h"
#include "setup/weight_grad_sm90.h"
#include "text.h"
#include "traits/forward_sm90.h"

namespace octconv {
namespace {

// What a plan is asked for.
struct Question {
  Problem problem;
  ElementType type;
  const DeviceFacts& device;
};

ElementType element_type(const char* op, const std::string& dtype) {
  if (dtype == "bfloat16") return ElementType::kBFloat16;
  if (dtype == "float16") return ElementType::kFloat16;
  if (dtype == "tf32") return ElementType::kTFloat32;
  fail(op, "dtype must be bfloat16, float16 or tf32, got ", dtype);
}

Problem problem_of(const char* op, const std::vector<int64_t>& numbers) {
  constexpr size_t kNumbers = 10;
  if (numbers.size() != kNumbers) {
    fail(op, "numbers must be the ", kNumbers, " fields of Problem, got ", numbers.size());
  }
  int32_t n[kNumbers];
  for (size_t i = 0; i < kNumbers; ++i) {
    if (numbers[i] < 0 || numbers[i] > std::numeric_limits<int32_t>::max()) {
      fail(op, "numbers must be from 0 to 2^31 - 1, got ", numbers[i]);
    }
    n[i] = static_cast<int32_t>(numbers[i]);
  }
  const Problem problem{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9] != 0};
  if (problem.height < 1 || problem.width < 1 || problem.kernel % 2 != 1 || problem.stride < 1 ||
      problem.stride > 2) {
    fail(op,
         "the size must be positive, the kernel odd and the stride 1 or 2, got height "
         "and width ",
         problem.height, " and ", problem.width, ", kernel ", problem.kernel, ", stride ",
         problem.stride);
  }
  if (const char* reason = why_not_covered(problem, problem.kernel)) {
    fail(op, "no kernel covers this: ", reason);
  }
  return problem;
}

Question question_of(const char* op, const std::vector<int64_t>& numbers, const std::string& dtype,
                     const std::string& device) {
  const DeviceFacts* facts = known_device(device);
  if (!facts) fail(op, "device must be one of ", known_devices(), ", got ", device);
  return {problem_of(op, numbers), element_type(op, dtype), *facts};
}

std::string device_text(const DeviceFacts& facts) {
  std::ostringstream json;
  json << ", \"device\": {\"multiprocessors\": " << facts.multiprocessors
       << ", \"shared_per_block\": " << facts.shared_per_block
       << ", \"shared_per_multiprocessor\": " << facts.shared_per_multiprocessor << "}";
  return json.str();
}

std::string plan_forward_text(std::vector<int64_t> numbers, Text dtype, Text device) {
  const auto [problem, type, facts] = question_of("plan_forward", numbers, dtype, device);
  const Plan plan = plan_forward(problem, type, facts);

  std::ostringstream json;
  const auto shape = [&](const char* name, const TileShape& shape, int64_t items) {
    json << "\"" << name << "\": {\"shape\": [" << shape.width << ", " << shape.height << ", "
         << shape.splits << "], \"items\": " << items << "}, ";
  };
  json << "{\"kernel\": \"" << (plan.tiles ? plan.kernel : "")
       << "\", \"tiles\": " << (plan.tiles ? '"' + std::string(plan.tiles) + '"' : "null") << ", ";
  shape("high", plan.high, plan.high_items);
  shape("low", plan.low, plan.low_items);
  json << "\"joint\": {\"shape\": [" << plan.joint.quads << ", " << plan.joint.stages
       << "], \"items\": " << plan.joint_items << "}, ";
  json << "\"blocks\": " << plan.blocks
       << ", \"blocks_per_multiprocessor\": " << plan.blocks_per_multiprocessor
       << ", \"rotation\": " << plan.rotation << ", \"weight_stages\": " << plan.weight_stages
       << ", \"shared_bytes\": " << plan.shared_bytes << ", \"partial_sums\": " << plan.partial_sums
       << ", \"arrivals\": " << plan.arrivals << device_text(facts)
       << ", \"us\": {\"total\": " << plan.microseconds << ", \"launch\": " << plan.launch_us
       << ", \"tiles\": " << plan.tiles_us << ", \"memory\": " << plan.memory_us
       << ", \"mma\": " << plan.mma_us << ", \"shared\": " << plan.shared_us
       << ", \"l2\": " << plan.l2_us << "}, \"text\": \"" << to_string(plan) << "\"}";
  return json.str();
}

// What plan_forward_sm90 says of the tiles of one octave: their stride in quads and images, how
// many there are, where in a tile its patches lie, and the boxes that they read: those of the same
// resolution last.
std::string tiles_text(const PlanSm90& plan, Octave octave) {
  const Sm90Geometry& geometry = kSm90Geometries[plan.geometry];
  const bool high = octave == kHigh;
  const Sm90Tiles& tiles = plan.tiles[octave];
  std::ostringstream json;
  const auto box = [&](const char* name, const QuadBox& box) {
    json << ", \"" << name << "\": [" << box.width << ", " << box.height << ", " << box.images
         << "]";
  };
  json << "{\"items\": " << tiles.items << ", \"grid\": [" << tiles.across.value << ", "
       << tiles.down.value << "], \"columns\": [" << plan.columns[octave] << ", "
       << (tiles.items > 0 ? tiles.columns.value : 0)
       << "], \"weights_stay\": " << (tiles.weights_stay ? "true" : "false");
  box("tile", sm90_tile(geometry, high));
  box("quads", high ? geometry.quads : geometry.low);
  if (high) box("phases", geometry.phases);
  json << ", \"linear\": " << (high && geometry.linear ? "true" : "false") << ", \"patches\": [";
  for (int i = 0; i < (high ? 2 : 4); ++i) {
    const Patch patch = sm90_patch(geometry, high, i);
    json << (i ? ", [" : "[") << patch.x << ", " << patch.y << ", " << patch.image << "]";
  }
  json << "]}";
  return json.str();
}

// The same of forward_1x1_sm90.
std::string joint_json(const Problem& problem, const PlanSm90& plan) {
  const JointCut& cut = plan.joint;
  const JointSm90Params params = joint_sm90_params(problem, cut, {});
  std::ostringstream json;
  json << "{\"items\": " << plan.joint_items << ", \"columns\": " << cut.columns
       << ", \"groups\": [" << cut.row_groups << ", " << cut.column_groups << "], \"box\": ["
       << cut.box.width << ", " << cut.box.height << ", " << cut.box.images << "], \"image\": ["
       << params.width << ", " << params.height << ", " << params.batch << "], \"grid\": ["
       << params.across << ", " << params.down << ", " << params.columns
       << "], \"boxes\": " << cut.boxes << ", \"slots\": " << cut.slots
       << ", \"weights_stay\": " << (cut.weights_stay ? "true" : "false")
       << ", \"splits\": " << cut.splits << ", \"sharers\": " << cut.sharers << "}";
  return json.str();
}

std::string plan_forward_sm90_text(std::vector<int64_t> numbers, Text dtype, Text device,
                                   Text trials) {
  const char* op = "plan_forward_sm90";
  const auto [problem, type, facts] = question_of(op, numbers, dtype, device);
  if (const char* reason = why_not_sm90(problem, type, facts)) {
    fail(op, "family sm90 does not cover this: ", reason);
  }
  const std::optional<Trials> tried = trials_of(trials.value);
  if (!tried) fail(op, "trials must be 1 or some of ", trial_names(), ", got ", trials.value);
  const PlanSm90 plan = plan_forward_sm90(problem, type, facts, *tried);
  std::ostringstream json;
  if (plan.joint_items > 0) {
    json << "{\"joint\": " << joint_json(problem, plan) << ", \"blocks\": " << plan.blocks
         << ", \"us\": " << plan.microseconds << ", \"text\": \"" << to_string(plan) << "\"}";
    return json.str();
  }
  json << "{\"high\": " << tiles_text(plan, kHigh) << ", \"low\": " << tiles_text(plan, kLow)
       << ", \"blocks\": " << plan.blocks << ", \"low_blocks\": " << plan.low_blocks
       << ", \"late_items\": " << plan.late_items << ", \"splits\": " << plan.splits
       << ", \"us\": " << plan.microseconds << ", \"text\": \"" << to_string(plan) << "\"}";
  return json.str();
}

// The same for the weight gradient of an operator.
std::string plan_weight_grad_text(std::vector<int64_t> numbers, Text dtype, Text device) {
  const auto [problem, type, facts] = question_of("plan_weight_grad", numbers, dtype, device);
  const WeightGradPlan plan = plan_weight_grad(problem, type, facts);

  std::ostringstream json;
  json << "{\"tiles\": " << (plan.tiles ? '"' + std::string(plan.tiles) + '"' : "null")
       << ", \"shapes\": [";
  for (int i = 0; i < kJobs; ++i) {
    const PixelTile& tile = plan.pixel_tiles[i];
    json << (i ? ", [" : "[") << tile.width << ", " << tile.height << ", " << tile.splits << "]";
  }
  json << "], \"items\": [";
  for (int i = 0; i < kJobs; ++i) json << (i ? ", " : "") << plan.items[i];
  json << "], \"partial_sums\": " << plan.partial_sums
       << ", \"shared_bytes\": " << plan.shared_bytes << device_text(facts)
       << ", \"us\": {\"total\": " << plan.microseconds << ", \"launch\": " << plan.launch_us
       << ", \"tiles\": " << plan.tiles_us << ", \"splits\": " << plan.splits_us
       << ", \"memory\": " << plan.memory_us << ", \"mma\": " << plan.mma_us
       << ", \"shared\": " << plan.shared_us << ", \"l2\": " << plan.l2_us << "}, \"text\": \""
       << to_string(plan) << "\"}";
  return json.str();
}

// What plan_weight_grad_sm90 says of weight_grad_1x1_sm90.
std::string joint_json(const Problem& problem, const GradPlanSm90& plan) {
  const JointGradSm90Cut& cut = plan.joint;
  const JointGradSm90Params params = joint_grad_sm90_params(problem, cut, pointers_of_plan());
  std::ostringstream json;
  json << "{\"tile\": [" << cut.rows << ", " << cut.columns << "], \"box\": [" << cut.box.width
       << ", " << cut.box.height << ", " << cut.box.images << "], \"boxes\": " << params.boxes
       << ", \"tiles\": " << params.tiles << ", \"splits\": " << cut.splits << ", \"items\": [";
  for (int i = 0; i < kJobs; ++i) json << (i ? ", " : "") << plan.items[i];
  json << "], \"shared_bytes\": " << params.shared_bytes << "}";
  return json.str();
}

std::string plan_weight_grad_sm90_text(std::vector<int64_t> numbers, Text dtype, Text device) {
  const char* op = "plan_weight_grad_sm90";
  const auto [problem, type, facts] = question_of(op, numbers, dtype, device);
  if (const char* reason = why_not_grad_sm90(problem, type, facts)) {
    fail(op, "family sm90 does not cover this: ", reason);
  }
  const GradPlanSm90 plan = plan_weight_grad_sm90(problem, type, facts);
  std::ostringstream json;
  if (plan.joint.splits > 0) {
    json << "{\"joint\": " << joint_json(problem, plan)
         << ", \"is_default\": " << (faster_than_portable(problem, plan) ? "true" : "false")
         << ", \"partial_sums\": " << plan.partial_sums << ", \"us\": " << plan.microseconds
         << ", \"text\": \"" << to_string(plan) << "\"}";
    return json.str();
  }
  const WeightGradSm90Params params =
      weight_grad_sm90_params(problem, plan.cut, pointers_of_plan());
  json << "{\"tile\": " << plan.cut.tile << ", \"jobs\": [";
  for (int i = 0; i < kJobs; ++i) {
    const PixelTile& tile = plan.cut.pixel_tiles[i];
    json << (i ? ", " : "") << "{\"shape\": [" << tile.width << ", " << tile.height << ", "
         << tile.images << "], \"pixel_tiles\": " << params.job[i].pixel_tiles
         << ", \"splits\": " << tile.splits << ", \"items\": " << plan.items[i]
         << ", \"stages\": " << params.more[i].stages << "}";
  }
  json << "], \"partial_sums\": " << plan.partial_sums
       << ", \"shared_bytes\": " << params.shared_bytes << ", \"us\": " << plan.microseconds
       << ", \"text\": \"" << to_string(plan) << "\"}";
  return json.str();
}

}  // namespace
}  // namespace octconv

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CompositeExplicitAutograd, m) {
  m.impl("plan_forward", TORCH_BOX(&octconv::plan_forward_text));
  m.impl("plan_forward_sm90", TORCH_BOX(&octconv::plan_forward_sm90_text));
  m.impl("trial_names", TORCH_BOX(&octconv::trial_names));
  m.impl("plan_weight_grad", TORCH_BOX(&octconv::plan_weight_grad_text));
  m.impl("plan_weight_grad_sm90", TORCH_BOX(&octconv::plan_weight_grad_sm90_text));
}
