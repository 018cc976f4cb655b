#include "bindings.h"
#include "plan/weight_grad_1x1_sm80.h"
#include "plan/weight_grad_cost.h"
#include "plan/weight_grad_sm80.h"
#include "weight_grad.h"

namespace emulation {
namespace {

PixelTiles pixel_tiles_of(const Value& shapes) {
  PixelTiles tiles;
  for (int i = 0; i < octconv::kJobs; ++i) {
    const auto shape = shapes[i];
    tiles[i] = {shape[0].cast<int32_t>(), shape[1].cast<int32_t>(), shape[2].cast<int32_t>()};
  }
  return tiles;
}

// numbers: the fields of Problem in their order but for the last. shapes: (width, height, splits)
// of the pixel tiles of W_HH, W_LH, W_HL and W_LL. arrays: x_high, x_low, dy_high, dy_low, channels
// last each. The counters are those of the products' launch; launches counts both.
Value weight_grad_sm80(const std::string& dtype, const std::string& tiles, const Value& numbers,
                       const Value& shapes, const Value& arrays, bool channels_last,
                       bool wide_output, bool bias, int32_t shared_limit, const Value& options) {
  const Problem problem = grad_problem_of(numbers);
  const PixelTiles pixel_tiles = pixel_tiles_of(shapes);
  RunWeightGrad& run = dtype == "bfloat16"  ? weight_grad_bfloat16
                       : dtype == "float16" ? weight_grad_float16
                                            : weight_grad_tfloat32;
  return run(tiles, {problem, pixel_tiles, arrays, channels_last, wide_output, bias, shared_limit,
                     options});
}

// Of all pixel tiles, and of what else is checked.
struct LaunchCounts {
  int64_t mma = 0, ldmatrix = 0, word_loads = 0, copies = 0;
  double bytes = 0;
  Value jobs = Value::list();

  void add(int64_t turns, const octconv::PixelTileCost& cost) {
    mma += turns * cost.hmma;
    ldmatrix += turns * cost.ldmatrix;
    word_loads += turns * cost.word_loads;
    copies += turns * cost.copies;
    bytes += turns * cost.read_bytes;
  }
  Value of_launch(const WeightGradParams& p) const {
    return Value::dict({{"mma", mma},
                        {"ldmatrix", ldmatrix},
                        {"word_loads", word_loads},
                        {"copies", copies},
                        {"read_bytes", bytes},
                        {"jobs", jobs},
                        {"shared_bytes", p.shared_bytes},
                        {"partial_sums", p.sums},
                        {"split_warps", 1 << p.split_bits}});
  }
};

// What csrc/plan/weight_grad_cost.h counts of a launch, beside the limits that its tiles must keep.
Value weight_grad_launch(const std::string& dtype, const std::string& tiles, const Value& numbers,
                         const Value& shapes, const Value&) {
  const Problem problem = grad_problem_of(numbers);
  const octconv::ElementType type = dtype == "bfloat16"  ? octconv::ElementType::kBFloat16
                                    : dtype == "float16" ? octconv::ElementType::kFloat16
                                                         : octconv::ElementType::kTFloat32;
  LaunchCounts counts;
  for (const octconv::JointGradLimits& limits : joint_grads_for(type)) {
    if (tiles != limits.of_tiles.name) continue;
    const auto shape = octconv::JointGradShape::of(pixel_tiles_of(shapes));
    const octconv::JointGradParams p = joint_grad_counts(problem, limits, shape);
    for (const octconv::WeightGradJob& job : p.job) {
      counts.jobs.append(Value::tuple({job.items(), p.quad_tiles, job.splits}));
    }
    counts.add(int64_t{p.tiles} * p.quad_tiles,
               joint_tile_cost(limits, *octconv::known_device("H200"), p));
    return counts.of_launch(p);
  }
  for (const octconv::WeightGradLimits& limits : weight_grads_for(problem, type)) {
    if (tiles != limits.name) continue;
    const WeightGradParams p =
        weight_grad_params(problem, limits, pixel_tiles_of(shapes), octconv::pointers_of_plan());
    for (const octconv::WeightGradJob& job : p.job) {
      counts.jobs.append(Value::tuple({job.items(), job.pixel_tiles, job.splits}));
      if (job.items() == 0) continue;
      counts.add(job.tiles() * job.pixel_tiles,
                 pixel_tile_cost(limits, *octconv::known_device("H200"), p, job));
    }
    return counts.of_launch(p);
  }
  throw std::invalid_argument("no tiles are named " + tiles);
}

}  // namespace

void bind_weight_grad(Module& module) {
  module.add<&weight_grad_sm80>("weight_grad_sm80");
  module.add<&weight_grad_launch>("weight_grad_launch");
}

}  // namespace emulation
