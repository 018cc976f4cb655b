#include "setup/forward_1x1_sm80.h"

#include <algorithm>

#include "params/divisor.h"

namespace octconv {
namespace {

int64_t quads_of(const Problem& p) { return int64_t{p.batch} * p.quad_height() * p.quad_width(); }

}  // namespace

bool serves_1x1(const Problem& p) {
  constexpr int64_t kMost = int64_t{1} << 30;  // with room for what lies beyond the last one
  const int64_t in = int64_t{p.high_in} + p.low_in, out = int64_t{p.high_out} + p.low_out;
  const int64_t most_items = quads_of(p) / 16 * (std::max(in, out) / 32 + 1);
  return p.kernel == 1 && p.stride == 1 && in > 0 && out > 0 && quads_of(p) <= kMost &&
         most_items <= kMost;
}

Forward1x1Params forward_1x1_params(const Problem& problem, const Forward1x1Limits& limits,
                                    const JointShape& shape, const ForwardPointers& pointers) {
  const TileShape any{1, 1, 1};
  Forward1x1Params p{};
  static_cast<ForwardParams&>(p) = forward_params(problem, limits.of_chunks, any, any, 2, pointers);
  p.quads = static_cast<int32_t>(quads_of(problem));
  p.tile_quads = shape.quads;
  p.tiles_columns = std::max(p.high.tiles_columns, p.low.tiles_columns);
  p.items = (p.quads + p.tile_quads - 1) / p.tile_quads * p.tiles_columns;
  p.stages = shape.stages;
  p.by_tiles_columns = Divisor::of(p.tiles_columns);
  p.by_quad_width = Divisor::of(p.quad_width);
  return p;
}

}  // namespace octconv
