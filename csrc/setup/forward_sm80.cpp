#include "setup/forward_sm80.h"

#include <algorithm>

#include "device/phase.cuh"
#include "params/divisor.h"
#include "problem.h"
#include "setup/row_stride.h"

namespace octconv {
namespace {

// The weight of a path begins at its first row and column.
const void* weight_at(const ForwardPointers& pointers, const ForwardParams& p, int32_t row,
                      int32_t column, int32_t element_bytes) {
  return static_cast<const char*>(pointers.weight) +
         (int64_t{row} * p.weight_row + column) * element_bytes;
}

int64_t items_of(const Program& program) {
  return int64_t{program.tiles_across} * program.tiles_down * program.tiles_columns *
         program.splits;
}

// None where they are too many for a plan, as tiles of one quad may be, which are only looked at.
void count_items(ForwardParams& p) {
  const int64_t low = items_of(p.low), all = items_of(p.high) + low;
  if (all == 0 || all > INT32_MAX) return;
  p.tile_items = static_cast<int32_t>(all);
  p.low_share = static_cast<uint32_t>(((low << 31) + all - 1) / all);
}

struct Setup {
  const Problem& problem;
  const ForwardLimits& limits;
  const ForwardPointers& pointers;
  ForwardParams params{};

  Segment segment(bool high_source, int32_t pools, bool phases, int32_t weight_row,
                  int32_t weight_column) const {
    Segment s{};
    const bool grad = problem.input_grad;
    s.source = high_source ? pointers.in_high : pointers.in_low;
    // Of the input gradient, dy_high has the grid's size and dy_low the quads'.
    s.height = high_source ? (grad ? params.grid_height : problem.height)
                           : (grad ? params.quad_height : half_up(problem.height));
    s.width = high_source ? (grad ? params.grid_width : problem.width)
                          : (grad ? params.quad_width : half_up(problem.width));
    s.channels = grad ? (high_source ? problem.high_out : problem.low_out)
                      : (high_source ? problem.high_in : problem.low_in);
    s.weight = weight_at(pointers, params, weight_row, weight_column, limits.element_bytes);
    s.pools = pools;
    s.phases = phases;
    return s;
  }

  void complete(Program& program, const TileShape& shape, int32_t tile_columns) const {
    const int32_t p = limits.padding, pitch = limits.cell_pitch;
    program.tile_width = shape.width;
    program.tile_height = shape.height;
    program.tile_columns = tile_columns;
    program.tiles_across = divide_up(params.quad_width, shape.width);
    program.tiles_down = divide_up(params.batch * params.quad_height, shape.height);
    program.tiles_columns = divide_up(program.columns, tile_columns);
    // Borders between images that the rows of a tile can cross.
    const int32_t borders =
        std::min(divide_up(shape.height - 1, params.quad_height), params.batch - 1);
    program.phase_rows = shape.height + p + borders * phase::separators(p);
    program.quad_rows = shape.height + 2 * p + borders * p;
    program.phase_row_stride = row_stride(2 * (shape.width + p), shape.width, pitch);
    program.quad_row_stride = row_stride(shape.width + 2 * p, shape.width, pitch);
    const int32_t chunk = limits.chunk_bytes / limits.element_bytes;
    for (int i = 0; i < 2; ++i) {
      program.chunks[i] = divide_up(program.segment[i].channels, chunk);
    }
    // The kernel's stream wants a chunk of every item.
    program.splits = std::max(1, std::min(shape.splits, program.chunks[0] + program.chunks[1]));
    for (Output& output : program.output) {
      output.pixel_bytes = (output.last - output.first) * limits.element_bytes;
      output.row_bytes = output.width * output.pixel_bytes;
    }
    program.by_tile_width = Divisor::of(program.tile_width);
    program.by_tiles_across = Divisor::of(program.tiles_across);
    program.by_tiles_columns = Divisor::of(std::max(1, program.tiles_columns));
    program.by_splits = Divisor::of(program.splits);
  }
};

}  // namespace

int32_t shared_bytes(const ForwardLimits& limits, int32_t halo_bytes, int32_t weight_stages) {
  return 2 * halo_bytes + weight_stages * limits.row_bytes + limits.item_bytes;
}

HaloExtent halo_extent(const Program& program, const Segment& segment, int32_t padding) {
  const int32_t rows = segment.phases ? 2 * program.phase_rows : program.quad_rows;
  const int32_t cells =
      segment.phases ? 2 * (program.tile_width + padding) : program.tile_width + 2 * padding;
  return {int64_t{rows} * (segment.phases ? program.phase_row_stride : program.quad_row_stride),
          rows, cells};
}

int32_t halo_bytes(const Program& program, int32_t padding) {
  int64_t bytes = 0;
  for (const Segment& segment : program.segment) {
    if (program.columns == 0 || segment.channels == 0) continue;
    bytes = std::max(bytes, halo_extent(program, segment, padding).bytes);
  }
  return static_cast<int32_t>((bytes + 127) / 128 * 128);
}

ForwardParams forward_params(const Problem& problem, const ForwardLimits& limits,
                             const TileShape& high_shape, const TileShape& low_shape,
                             int32_t weight_stages, const ForwardPointers& pointers) {
  Setup setup{problem, limits, pointers};
  ForwardParams& p = setup.params;
  p.batch = problem.batch, p.taps = problem.kernel;
  p.row_bytes = limits.row_bytes;
  p.grid_height = problem.grid_height(), p.grid_width = problem.grid_width();
  p.quad_height = problem.quad_height(), p.quad_width = problem.quad_width();
  p.by_quad_height = Divisor::of(p.quad_height);
  p.by_phase_period = Divisor::of(p.quad_height + phase::separators(limits.padding));
  p.by_quad_period = Divisor::of(p.quad_height + limits.padding);
  p.bias = pointers.bias;
  const Epilogue& epilogue = pointers.epilogue;
  p.scale = epilogue.scale, p.shift = epilogue.shift, p.activation = epilogue.activation;
  const int32_t in = problem.high_in + problem.low_in, taps = problem.kernel * problem.kernel;
  p.weight_tap = in;
  p.weight_row = int64_t{taps} * in;
  const int32_t low_row = problem.high_out, low_column = problem.high_in;
  Program &high = p.high, &low = p.low;

  if (problem.input_grad) {
    // dx_high = conv(dy_high, t(W_HH)) + up(conv(dy_low, t(W_HL)) / count); at stride 2 this is
    // the gradient of z = [pool(x_high); x_low], all columns alike.
    high.segment[0] = setup.segment(false, 0, false, low_row, 0);
    high.segment[1] = setup.segment(true, 0, true, 0, 0);
    if (problem.stride == 1) {
      high.columns = problem.high_in;
      high.output[0] = {pointers.out_high, nullptr, problem.height, problem.width, 0,
                        problem.high_in,   false};
      // dx_low = conv(sumpool(dy_high), t(W_LH)) + conv(dy_low, t(W_LL))
      low.segment[0] = setup.segment(true, 1, false, 0, low_column);
      low.segment[1] = setup.segment(false, 0, false, low_row, low_column);
      low.columns = problem.low_in;
      low.output[0] = {pointers.out_low, nullptr, p.quad_height, p.quad_width, 0,
                       problem.low_in,   false};
    } else {
      high.columns = in;
      high.output[0] = {pointers.out_high, nullptr, problem.height, problem.width, 0,
                        problem.high_in,   true};
      high.output[1] = {pointers.out_low, nullptr, p.grid_height, p.grid_width,
                        problem.high_in,  in,      false};
    }
  } else {
    high.columns = problem.high_out;
    low.columns = problem.low_out;
    high.output[0] = {pointers.out_high,
                      epilogue.residual_high,
                      p.grid_height,
                      p.grid_width,
                      0,
                      problem.high_out,
                      false};
    low.output[0] = {pointers.out_low,
                     epilogue.residual_low,
                     p.quad_height,
                     p.quad_width,
                     0,
                     problem.low_out,
                     false};
    const bool strided = problem.stride == 2;
    // Stride 1: y_high = up(conv(x_low, W_LH)) + conv(x_high, W_HH). Stride 2: both at the grid.
    high.segment[strided ? 1 : 0] = setup.segment(false, 0, strided, 0, low_column);
    high.segment[strided ? 0 : 1] = setup.segment(true, strided ? 1 : 0, true, 0, 0);
    low.segment[0] = setup.segment(true, strided ? 2 : 1, false, low_row, 0);
    low.segment[1] = setup.segment(false, strided ? 1 : 0, false, low_row, low_column);
    low.first_column = problem.high_out;
  }
  setup.complete(high, high_shape, limits.high.columns);
  setup.complete(low, low_shape, limits.low.columns);
  count_items(p);
  p.weight_stages = std::min(weight_stages, most_weight_stages(limits));
  p.halo_bytes = std::max(halo_bytes(high, limits.padding), halo_bytes(low, limits.padding));
  return p;
}

}  // namespace octconv
