#include "forward_1x1_setup.h"

#include <algorithm>

namespace octconv {
namespace {

int64_t quads_of(const Problem& p) { return int64_t{p.batch} * p.quad_height() * p.quad_width(); }

}  // namespace

bool serves_1x1(const Problem& p) {
  const int32_t in = p.high_in + p.low_in, out = p.high_out + p.low_out;
  // Items have at least 16 quads and 32 columns, and the last ones end beyond the quads.
  const int64_t most = int64_t{INT32_MAX} - 256;
  return p.kernel == 1 && p.stride == 1 && in > 0 && out > 0 && quads_of(p) <= most &&
         quads_of(p) / 16 * (std::max(in, out) / 32 + 1) <= most;
}

Forward1x1Params forward_1x1_params(const Problem& problem, const Forward1x1Limits& limits,
                                    int32_t tile_quads, int32_t stages,
                                    const ForwardPointers& pointers) {
  const TileShape none{1, 1, 1};
  Forward1x1Params p{
      forward_params(problem, limits.of_chunks, none, none, pointers), 0, 0, 0, 0, 0};
  p.quads = static_cast<int32_t>(quads_of(problem));
  p.tile_quads = tile_quads;
  p.tiles_columns = std::max(p.high.tiles_columns, p.low.tiles_columns);
  p.items = (p.quads + tile_quads - 1) / tile_quads * p.tiles_columns;
  p.stages = stages;
  return p;
}

}  // namespace octconv
