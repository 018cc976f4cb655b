#include "setup/weight_grad_1x1_sm90.h"

#include "traits/weight_grad_1x1_sm90.h"

namespace octconv {
namespace {

int32_t shared_bytes_of(const JointGradSm90Cut& cut) {
  int32_t bytes = 0;
  for_each_joint_grad_sm90<BFloat16>([&](auto traits) {  // the same for float16
    if (decltype(traits)::kRows == cut.rows) bytes = decltype(traits)::kSharedBytes;
  });
  return bytes;
}

WeightGradLimits limits_of(const JointGradSm90Cut& cut) {
  WeightGradLimits limits{};
  limits.threads = kJointGradThreads;
  limits.rows = cut.rows, limits.columns = cut.columns;
  limits.taps = limits.tap_rows = 1;
  limits.element_bytes = 2;
  limits.dy_pitch = 2 * cut.rows, limits.x_pitch = 2 * cut.columns;
  return limits;
}

}  // namespace

QuadBox grad_box(const Problem& problem) {
  const Problem p = stacked(problem);
  QuadBox best{kJointGradQuads, 1, 1};
  for (int32_t width = kJointGradQuads; width > 0; width /= 2) {
    for (int32_t height = kJointGradQuads / width; height > 0; height /= 2) {
      const QuadBox box{width, height, kJointGradQuads / (width * height)};
      if (boxes_of(p, box) < boxes_of(p, best)) best = box;
    }
  }
  return best;
}

JointGradSm90Params joint_grad_sm90_params(const Problem& problem, const JointGradSm90Cut& cut,
                                           const WeightGradPointers& pointers) {
  const Problem q = stacked(problem);
  JointGradSm90Params p{};
  static_cast<JointGradTiles&>(p) =
      joint_grad_tiles(q, limits_of(cut), {kJointGradQuads, 1, cut.splits}, pointers);
  p.shared_bytes = shared_bytes_of(cut);
  p.height = q.height, p.width = q.width;
  p.box = cut.box;
  while (1 << p.width_bits < cut.box.width) ++p.width_bits;
  p.across = divide_up(q.quad_width(), cut.box.width);
  p.down = divide_up(q.quad_height(), cut.box.height);
  p.boxes = static_cast<int32_t>(boxes_of(q, cut.box));
  p.absent = absent_phases(q);
  return p;
}

JointGradViews joint_grad_views(const Problem& problem, const JointGradSm90Cut& cut,
                                const WeightGradPointers& pointers) {
  const Problem p = stacked(problem);
  return {
      plane_views(p, pointers.dy_high, pointers.dy_low, {p.high_out, p.low_out}, kSm90Chunk,
                  cut.box),
      plane_views(p, pointers.x_high, pointers.x_low, {p.high_in, p.low_in}, kSm90Chunk, cut.box)};
}

}  // namespace octconv
