#include "setup/weight_grad_sm80.h"

#include <algorithm>

#include "params/divisor.h"
#include "problem.h"
#include "setup/row_stride.h"

namespace octconv {
namespace {

// What the blocks of the weight are made of, rows high or low, columns high or low.
WeightGradJob operands(const Problem& q, const WeightGradPointers& pointers, bool low_rows,
                       bool low_columns) {
  WeightGradJob job{};
  const bool strided = q.stride == 2;
  const int32_t pools = strided ? 1 : 0;  // from the high input to the grid
  // The low rows, and at stride 1 all that is between different resolutions, live at quads.
  const bool at_quads = low_rows || (low_columns && !strided);
  job.height = at_quads ? q.quad_height() : q.grid_height();
  job.width = at_quads ? q.quad_width() : q.grid_width();
  job.x = low_columns
              ? PixelMap{pointers.x_low, half_up(q.height),           half_up(q.width),
                         q.low_in,       strided && low_rows ? 1 : 0, false}
              : PixelMap{pointers.x_high, q.height, q.width, q.high_in, pools + at_quads, false};
  const bool sums = at_quads && !low_rows;
  job.dy = low_rows
               ? PixelMap{pointers.dy_low, q.quad_height(), q.quad_width(), q.low_out, 0, false}
               : PixelMap{pointers.dy_high, q.grid_height(), q.grid_width(),
                          q.high_out,       sums ? 1 : 0,    sums};
  job.first_row = low_rows ? q.high_out : 0;
  job.first_column = low_columns ? q.high_in : 0;
  return job;
}

// The jobs with their operands, in the order of the blocks of the weight; absent ones have no rows
// or no columns.
std::array<WeightGradJob, kJobs> jobs_of(const Problem& q, const WeightGradPointers& pointers) {
  std::array<WeightGradJob, kJobs> jobs;
  for (int i = 0; i < kJobs; ++i)
    jobs[i] = operands(q, pointers, of_low_rows(i), of_low_columns(i));
  // The bias of the rows, where asked for, comes from the first job that has dy as it is. If none
  // has, the high rows' is to have no columns, and gives nothing but the bias.
  for (int rows = 0; rows < kJobs; rows += 2) {
    WeightGradJob &high = jobs[rows], &low = jobs[rows + 1];
    const bool from_high = high.columns() > 0 || low.dy.pools > 0;
    high.bias = pointers.dbias && from_high;
    low.bias = pointers.dbias && !from_high;
    if (high.bias && high.columns() == 0) high.x.source = high.dy.source;
  }
  return jobs;
}

// tile: not looked at where the job is absent.
void complete(WeightGradJob& job, const WeightGradLimits& limits, PixelTile tile, int32_t batch) {
  const bool present = job.rows() > 0 && (job.columns() > 0 || job.bias);
  if (!present) tile = {1, 1, 1};
  job.row_tiles = present ? divide_up(job.rows(), limits.rows) : 0;
  job.column_tiles = std::max(divide_up(job.columns(), limits.columns), 1);
  job.tap_tiles = job.columns() > 0 ? limits.taps / limits.tap_rows : 1;
  job.tile_width = tile.width, job.tile_height = tile.height, job.splits = tile.splits;
  job.tiles_across = divide_up(job.width, tile.width);
  job.pixel_tiles = job.tiles_across * divide_up(int64_t{batch} * job.height, tile.height);
  const int32_t reach = limits.reach();
  // Borders between images that the rows of a tile can cross.
  const int32_t borders = std::min(divide_up(tile.height - 1, job.height), batch - 1);
  job.x_rows = tile.height + 2 * reach + borders * reach;
  job.x_row_stride = row_stride(tile.width + 2 * limits.padding(), tile.width, limits.x_pitch);
  job.x_offset = divide_up(tile.width * tile.height, 32) * 32 * limits.dy_pitch;
  job.by_height = Divisor::of(job.height);
  job.by_period = Divisor::of(job.height + reach);
  job.by_tile_width = Divisor::of(tile.width);
}

}  // namespace

WeightGradPointers pointers_of_plan() {
  static char any;
  return {&any, &any, &any, &any, &any, &any, {}, false};
}

int32_t stage_bytes_of(const WeightGradJob& job) {
  const int32_t bytes = job.x_offset + job.x_rows * job.x_row_stride;
  return divide_up(bytes, 128) * 128;
}

WeightGradParams weight_grad_params(const Problem& problem, const WeightGradLimits& limits,
                                    const PixelTiles& tiles, const WeightGradPointers& pointers) {
  WeightGradParams p{};
  p.batch = problem.batch;
  p.dweight = pointers.dweight, p.dbias = pointers.dbias;
  p.strides = pointers.strides, p.wide_output = pointers.wide_output;
  p.tile_rows = limits.rows, p.tile_columns = limits.columns;
  p.tile_taps = limits.tap_rows * limits.taps, p.taps = limits.taps;
  p.by_tile_rows = Divisor::of(p.tile_rows), p.by_tile_columns = Divisor::of(p.tile_columns);
  p.by_tile_taps = Divisor::of(p.tile_taps);
  const std::array<WeightGradJob, kJobs> jobs = jobs_of(problem, pointers);
  for (int i = 0; i < kJobs; ++i) {
    WeightGradJob& job = p.job[i];
    job = jobs[i];
    complete(job, limits, tiles[i], problem.batch);
    if (job.items() > 0) p.stage_bytes = std::max(p.stage_bytes, stage_bytes_of(job));
  }
  number_items(p);
  p.shared_bytes = std::max(limits.stages * p.stage_bytes, limits.end_bytes) + kPlaceBytes;
  return p;
}

void number_items(WeightGradParams& p) {
  int64_t item = 0;
  int32_t most_splits = 1;
  p.sums = p.positions = 0;
  for (WeightGradJob& job : p.job) {
    job.first_item = item, job.first_sum = p.sums, job.first_position = p.positions;
    item += job.items();
    if (job.items() == 0 || job.splits == 1) continue;
    p.sums += job.items() * p.item_sums();
    most_splits = std::max(most_splits, job.splits);
    const int32_t of_tap = job.columns() / 4, of_row = p.taps * p.taps * of_tap;
    job.by_tap_positions = Divisor::of(std::max(of_tap, 1));
    job.by_row_positions = Divisor::of(std::max(of_row, 1));
    p.positions += int64_t{job.rows()} * of_row + (job.bias ? job.rows() / 4 : 0);
  }
  p.split_bits = 0;
  while (kSplitWarps >> p.split_bits > 1 && kSplitsOfWarp << p.split_bits < most_splits) {
    ++p.split_bits;
  }
}

}  // namespace octconv
