#include "setup/weight_grad_sm90.h"

#include <algorithm>
#include <utility>

#include "traits/weight_grad_sm90.h"

namespace octconv {
namespace {

// The last pair of `size` pixels where it has one alone, else -1.
int32_t single(int32_t size) { return size % 2 == 1 ? size / 2 : -1; }

TensorView view_of(const PixelMap& map, int32_t batch, int32_t channels, const QuadBox& box) {
  const uint64_t pixel = uint64_t{u(map.channels)} * TensorView::kElement,
                 row = pixel * u(map.width);
  return {map.source,
          4,
          {u(map.channels), u(map.width), u(map.height), u(batch), 0},
          {pixel, row, row * u(map.height), 0},
          {u(channels), u(box.width), u(box.height), u(box.images), 0}};
}

}  // namespace

WeightGradSm90Params weight_grad_sm90_params(const Problem& q, const GradSm90Cut& cut,
                                             const WeightGradPointers& pointers) {
  WeightGradSm90Params p{};
  static_cast<WeightGradParams&>(p) =
      weight_grad_params(q, grad_sm90_limits(cut.tile), cut.pixel_tiles, pointers);
  std::swap(p.job[kHighToLow].bias, p.job[kLowToLow].bias);  // it comes from dy that is not pooled
  p.shared_bytes = 0;
  for (int i = 0; i < kJobs; ++i) {
    WeightGradJob& job = p.job[i];
    GradSm90Job& more = p.more[i];
    const int32_t height = cut.pixel_tiles[i].height;
    more.images = cut.pixel_tiles[i].images;
    more.turned = i == kHighToLow;
    more.pools = pools_sm90(i);
    more.single_row = more.turned ? single(q.height) : -1;
    more.single_column = more.turned ? single(q.width) : -1;
    more.tiles_down = divide_up(job.height, height);
    job.pixel_tiles = job.tiles_across * more.tiles_down * divide_up(q.batch, more.images);
    const GradSm90Cells cells{height, more.images, more.pools};
    more.shifted_offset = cells.fixed_bytes(cut.tile);
    more.stage_bytes = cells.stage_bytes(cut.tile);
    more.stages =
        std::min((kSm90BlockBytes - kGradSm90FixedBytes) / more.stage_bytes, kGradSm90MostStages);
    p.shared_bytes = std::max(p.shared_bytes, more.stages * more.stage_bytes + kGradSm90FixedBytes);
  }
  number_items(p);
  return p;
}

GradSm90Views weight_grad_views(const WeightGradSm90Params& p, int index) {
  const WeightGradJob& job = p.job[index];
  const GradSm90Job& more = p.more[index];
  const int32_t scale = more.pools ? 2 : 1;
  const QuadBox fixed{scale * kGradSm90Width, scale * job.tile_height, more.images};
  const QuadBox shifted{kGradSm90Width + 2, job.tile_height + 2, more.images};
  return {view_of(more.turned ? job.x : job.dy, p.batch, p.tile_rows, fixed),
          view_of(more.turned ? job.dy : job.x, p.batch, p.tile_rows, shifted)};
}

}  // namespace octconv
