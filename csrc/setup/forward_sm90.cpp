#include "setup/forward_sm90.h"

#include <algorithm>

#include "params/divisor.h"
#include "setup/splits_sm90.h"
#include "traits/forward_sm90.h"

namespace octconv {
namespace {

constexpr uint64_t kElement = TensorView::kElement;

TensorView map_view(const void* address, const uint64_t (&sizes)[4], const uint64_t (&strides)[3],
                    const QuadBox& box) {
  return {address,
          4,
          {sizes[0], sizes[1], sizes[2], sizes[3], 0},
          {strides[0] * kElement, strides[1] * kElement, strides[2] * kElement, 0},
          {u(kSm90Chunk), u(box.width), u(box.height), u(box.images), 0}};
}

}  // namespace

Sm90Tiles sm90_tiles(const Problem& problem, int32_t geometry, Octave octave, int32_t columns) {
  const Problem p = as_convolution(problem);
  const QuadBox tile = sm90_tile(kSm90Geometries[geometry], octave == kHigh);
  Sm90Tiles tiles;
  const int32_t across = divide_up(p.quad_width(), tile.width);
  const int32_t down = divide_up(p.quad_height(), tile.height);
  const int32_t column_tiles = divide_up(octave == kHigh ? p.high_out : p.low_out, columns);
  tiles.across = Divisor::of(across), tiles.down = Divisor::of(down);
  tiles.columns = Divisor::of(std::max(column_tiles, 1));
  tiles.items = across * down * column_tiles * divide_up(p.batch, tile.images);
  // The chunks of both inputs fill the ring of slots, of three taps each, at most once.
  const int32_t most_columns = octave == kHigh ? 64 : 32;
  const int32_t chunks = divide_up(p.high_in, kSm90Chunk) + divide_up(p.low_in, kSm90Chunk);
  const int32_t copied = std::max(
      columns, sm90_columns_of_copy(kSm90Geometries[geometry], problem.input_grad, columns));
  tiles.weights_stay = column_tiles == 1 && copied <= most_columns && 3 * chunks <= kSm90Slots;
  return tiles;
}

TensorView phase_view(const Problem& p, int32_t geometry, const void* high_input, int phase) {
  const uint64_t channels = u(p.high_in), width = u(p.width), height = u(p.height);
  const int32_t down = phase / 2, right = phase % 2;
  return map_view(TensorView::behind(high_input, (int64_t{down} * p.width + right) * p.high_in),
                  {channels, (width + 1 - u(right)) / 2, (height + 1 - u(down)) / 2, u(p.batch)},
                  {2 * channels, 2 * width * channels, height * width * channels},
                  kSm90Geometries[geometry].phases);
}

TensorView low_view(const Problem& p, int32_t geometry, const void* low_input, Octave tiles) {
  const uint64_t channels = u(p.low_in), width = u(p.quad_width()), height = u(p.quad_height());
  const Sm90Geometry& boxes = kSm90Geometries[geometry];
  return map_view(low_input, {channels, width, height, u(p.batch)},
                  {channels, width * channels, height * width * channels},
                  tiles == kHigh ? boxes.quads : boxes.low);
}

TensorView strip_view(const Problem& p, int32_t geometry, const void* high_input) {
  const uint64_t channels = u(p.high_in), width = u(p.width), height = u(p.height);
  TensorView view = map_view(high_input, {channels, width, height, u(p.batch)},
                             {channels, width * channels, height * width * channels},
                             sm90_strip(kSm90Geometries[geometry]));
  if (sm90_narrow_strips(p.high_in)) view.box[0] /= 2;
  view.swizzled = false;
  return view;
}

TensorView weight_view(const Problem& p, const Sm90Cut& cut, const void* weight, Octave to,
                       Octave from) {
  const uint64_t tap = u(p.high_in + p.low_in) * kElement, row = 9 * tap;
  const Octave of_rows = p.input_grad ? from : to, of_columns = p.input_grad ? to : from;
  const int64_t first_row = of_rows == kLow ? p.high_out : 0,
                first_column = of_columns == kLow ? p.high_in : 0;
  const uint64_t columns = u(of_columns == kLow ? p.low_in : p.high_in);
  const uint64_t rows = u(of_rows == kLow ? p.low_out : p.high_out);
  const void* first =
      TensorView::behind(weight, first_row * 9 * (p.high_in + p.low_in) + first_column);
  if (p.input_grad) {
    const int32_t of_copy =
        sm90_columns_of_copy(kSm90Geometries[cut.geometry], true, cut.columns[kHigh]);
    return {first, 3, {columns, 9, rows}, {tap, row}, {u(of_copy), 1, u(kSm90Chunk)}};
  }
  // Row 8 i + 2 j + k of 32 comes to place 8 j + 2 i + k.
  return {first,
          5,
          {columns, 2, rows / 8, 4, 9},
          {row, 8 * row, 2 * row, tap},
          {u(kSm90Chunk), 2, 4, 4, 1}};
}

ForwardSm90Params forward_sm90_params(const Problem& p, const Sm90Cut& cut,
                                      const ForwardPointers& pointers) {
  ForwardSm90Params params{};
  params.bias = pointers.bias;
  params.output[kHigh] = pointers.out_high, params.output[kLow] = pointers.out_low;
  params.batch = p.batch;
  params.height[kHigh] = p.height, params.height[kLow] = p.quad_height();
  params.width[kHigh] = p.width, params.width[kLow] = p.quad_width();
  params.channels_in[kHigh] = p.high_in, params.channels_in[kLow] = p.low_in;
  params.channels_out[kHigh] = p.high_out, params.channels_out[kLow] = p.low_out;
  for (const Octave octave : {kHigh, kLow}) {
    params.tiles[octave] = cut.tiles[octave];
    share_chunks(params.chunks[octave], params.channels_in, octave, cut.splits);
  }
  params.low_columns = cut.columns[kLow];
  params.low_clusters = cut.low_blocks / cut.splits, params.late_items = cut.late_items;
  params.splits = cut.splits, params.units = first_units(cut.splits);
  const Epilogue& epilogue = pointers.epilogue;
  params.scale = epilogue.scale, params.shift = epilogue.shift;
  params.residual[kHigh] = epilogue.residual_high, params.residual[kLow] = epilogue.residual_low;
  params.activation = epilogue.activation;
  return params;
}

}  // namespace octconv
