#include "plan/weight_grad_cost.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "problem.h"
#include "setup/weight_grad_sm80.h"

namespace octconv {
namespace {

// Clocks, assumed.
constexpr double kLatency = 600;
constexpr double kPoolRound = 700;   // of up to two windows
constexpr double kTurn = 150;        // to wait, to meet, and to find the pixels of both tiles
constexpr double kItem = 1000;       // zeros, the first wait and the end
constexpr double kAddSplits = 2000;  // to find the sums, and two rounds of loads
constexpr int kSchedulers = 4;       // of a multiprocessor

// load_map: one pixel tile of an operand.
struct MapCount {
  int64_t instructions, wavefronts;
  int32_t pool_rounds;  // of a warp
  double bytes;
};
MapCount map_count(const WeightGradLimits& f, const WeightGradParams& p, const WeightGradJob& job,
                   bool x) {
  const PixelMap& map = x ? job.x : job.dy;
  const int32_t channels = x ? f.columns : f.rows, cell_bytes = channels * f.element_bytes;
  const int32_t rows = x ? job.x_rows : job.tile_height;
  const int32_t cells = job.tile_width + (x ? 2 * f.padding() : 0);
  const int32_t passes = divide_up(cells, 512 / cell_bytes);
  // A thread pools two windows at a time, or one of 4x4 in four steps.
  const int32_t rounds = map.pools == 0 ? 0 : map.pools == 1 ? divide_up(passes, 2) : 4 * passes;
  // Each border between two pixel tiles within an image has its pixels on both sides read by both.
  const int32_t tiles_down = job.pixel_tiles / job.tiles_across;
  const int64_t stack = int64_t{p.batch} * job.height;
  const int64_t at_images = (stack - 1) / std::lcm(job.tile_height, int64_t{job.height});
  const double halo_rows = x ? double(tiles_down - 1 - at_images) * 2 * f.reach() : 0;
  const double halo_columns = x ? (job.tiles_across - 1.0) * 2 * f.padding() : 0;
  // Taps of one row, away from the middle, leave out rows at the border of each image.
  double image_rows = job.height;
  if (x && f.tap_rows < f.taps) {
    image_rows = 0;
    for (int32_t shift = -f.padding(); shift <= f.padding(); ++shift) {
      image_rows += double(std::max(job.height - std::abs(shift), 0)) / f.taps;
    }
  }
  const double pixels = (p.batch * image_rows + halo_rows) * (job.width + halo_columns) /
                        job.pixel_tiles *
                        (double(map.height) * map.width / (double(job.height) * job.width));
  const double mean_channels = double(map.channels) / (x ? job.column_tiles : job.row_tiles);
  return {int64_t{rows} * passes, int64_t{rows} * divide_up(cells * cell_bytes, 128),
          rounds * divide_up(rows, f.threads / 32), pixels * mean_channels * f.element_bytes};
}

}  // namespace

PixelTileCost pixel_tile_cost(const WeightGradLimits& f, const DeviceFacts& d,
                              const WeightGradParams& p, const WeightGradJob& job) {
  const int64_t steps = divide_up(job.tile_width * job.tile_height, 32);
  const int64_t taps = f.tap_rows * f.taps, warps = f.warps_m * f.warps_n;
  const bool words = f.element_bytes == 4;
  const int64_t products = words ? 4 : 2;  // of a step
  const int64_t fragments = 2 * f.tiles_m + taps * f.tiles_n;
  const MapCount dy = map_count(f, p, job, false), x = map_count(f, p, job, true);

  PixelTileCost cost{};
  cost.hmma = steps * warps * products * f.tiles_m * f.tiles_n * taps;
  cost.ldmatrix = words ? 0 : steps * warps * fragments;
  cost.word_loads = words ? steps * warps * fragments * 8 : 0;
  cost.copies = (job.dy.pools == 0 ? dy.instructions : 0) + (job.x.pools == 0 ? x.instructions : 0);
  cost.fill_wavefronts = dy.wavefronts + x.wavefronts;
  cost.read_bytes = dy.bytes + x.bytes;
  // The groups share the steps; some may have one less than others.
  const double uneven = double(divide_up(steps, f.groups)) * f.groups / steps;
  cost.mma_clocks = cost.hmma * uneven / d.hmma;
  cost.shared_clocks = (4 * cost.ldmatrix + cost.word_loads) * uneven / d.wavefronts +
                       cost.fill_wavefronts / d.wavefronts;
  cost.l2_clocks = cost.read_bytes / d.l2_bytes;
  const double copies = kLatency / (f.stages - 1) + cost.l2_clocks;
  const int32_t rounds = dy.pool_rounds + x.pool_rounds;
  // A warp that pools does not multiply meanwhile: it does that before or afterwards.
  const double pool = rounds * kPoolRound + cost.mma_clocks * kSchedulers * 32 / f.threads;
  cost.clocks =
      kTurn + std::max({cost.mma_clocks, cost.shared_clocks, copies, rounds > 0 ? pool : 0});
  return cost;
}

double item_overhead(const WeightGradLimits& f, const DeviceFacts& d, const PixelTileCost& cost,
                     bool split) {
  const double sums = double(f.rows) * f.columns * f.tap_rows * f.taps * sizeof(float);
  // Groups hand over their sums by halves: all but one's are written and read.
  const double groups = 2 * (f.groups - 1) * sums / 128 / d.wavefronts;
  const double stored = sums * (split ? 1 : f.element_bytes / 4.0);
  return kItem + 2 * kLatency + cost.l2_clocks + groups + stored / d.l2_bytes;
}

double splits_clocks(const DeviceFacts& d, const WeightGradParams& p) {
  if (p.positions == 0) return 0;
  constexpr double kPositionBytes = 4 * sizeof(float);  // of a result, at most
  const double bytes = sizeof(float) * double(p.sums) + kPositionBytes * p.positions;
  return kAddSplits + bytes / (d.memory_bytes / d.clock);
}

}  // namespace octconv
