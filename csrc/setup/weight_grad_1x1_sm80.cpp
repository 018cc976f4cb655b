#include "setup/weight_grad_1x1_sm80.h"

#include <algorithm>

#include "params/divisor.h"
#include "setup/forward_1x1_sm80.h"

namespace octconv {

bool serves_joint_grad(const Problem& p) {
  return serves_1x1(p) && std::min({p.high_in, p.low_in, p.high_out, p.low_out}) > 0;
}

PixelTiles JointGradShape::pixel_tiles(const JointGradLimits& limits) const {
  const PixelTile tile{limits.quads, stages, splits};
  return {tile, tile, tile, tile};
}

int32_t joint_grad_stages(const JointGradLimits& limits, int32_t shared_bytes) {
  const int32_t stages = std::min(shared_bytes / limits.stage_bytes, kMostGradStages);
  return stages < kLeastGradStages || limits.of_tiles.end_bytes > shared_bytes ? 0 : stages;
}

JointGradTiles joint_grad_tiles(const Problem& q, const WeightGradLimits& limits,
                                const PixelTile& tile, const WeightGradPointers& pointers) {
  JointGradTiles p{};
  static_cast<WeightGradParams&>(p) =
      weight_grad_params(q, limits, {tile, tile, tile, tile}, pointers);
  const WeightGradJob &high = p.job[kHighToHigh], &low = p.job[kLowToLow];
  p.splits = tile.splits;
  p.tiles_across = std::max(high.column_tiles, low.column_tiles);
  p.tiles = std::max(high.row_tiles, low.row_tiles) * p.tiles_across;
  return p;
}

JointGradParams joint_grad_params(const Problem& q, const JointGradLimits& limits,
                                  const JointGradShape& shape, const WeightGradPointers& pointers) {
  JointGradParams p{};
  static_cast<JointGradTiles&>(p) =
      joint_grad_tiles(q, limits.of_tiles, shape.pixel_tiles(limits)[0], pointers);
  p.height = q.height, p.width = q.width;
  p.quad_height = q.quad_height(), p.quad_width = q.quad_width();
  p.quads = q.batch * p.quad_height * p.quad_width;
  p.quad_tiles = divide_up(p.quads, limits.quads);
  p.stages = shape.stages;
  p.shared_bytes = std::max(p.stages * limits.stage_bytes, limits.of_tiles.end_bytes);
  p.by_quad_height = Divisor::of(p.quad_height);
  p.by_quad_width = Divisor::of(p.quad_width);
  return p;
}

}  // namespace octconv
