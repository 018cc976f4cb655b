#include "setup/forward_1x1_sm90.h"

#include <algorithm>

#include "setup/splits_sm90.h"
#include "traits/forward_1x1_sm90.h"

namespace octconv {
namespace {

TensorView map_view(const void* address, int32_t channels, const int32_t (&sizes)[3],
                    const int64_t (&strides)[3], int32_t box_channels, const QuadBox& box) {
  TensorView view{address, 4, {u(channels)}, {}, {u(box_channels)}};
  const int32_t boxes[3] = {box.width, box.height, box.images};
  for (int i = 0; i < 3; ++i) {
    view.sizes[i + 1] = u(sizes[i]);
    view.strides[i] = static_cast<uint64_t>(strides[i] * TensorView::kElement);
    view.box[i + 1] = u(boxes[i]);
  }
  return view;
}

TensorView phase_view(const Problem& p, const void* map, int32_t channels, int phase,
                      int32_t box_channels, const QuadBox& box) {
  const int32_t down = p.height > 1 ? phase / 2 : 0, right = p.width > 1 ? phase % 2 : 0;
  const int64_t pixel = channels, row = p.width * pixel, image = p.height * row;
  return map_view(TensorView::behind(map, down * row + right * pixel), channels,
                  {half_up(p.width - right), half_up(p.height - down), p.batch},
                  {2 * pixel, 2 * row, image}, box_channels, box);
}

TensorView low_view(const Problem& p, const void* map, int32_t channels, int32_t box_channels,
                    const QuadBox& box) {
  const int64_t pixel = channels, row = p.quad_width() * pixel, image = p.quad_height() * row;
  return map_view(map, channels, {p.quad_width(), p.quad_height(), p.batch}, {pixel, row, image},
                  box_channels, box);
}

// A chunk of `columns` rows of the weight; transposed, of columns.
TensorView weight_view(const Problem& p, const void* weight, Octave to, Octave from,
                       int32_t columns) {
  const Octave out = p.input_grad ? from : to, in = p.input_grad ? to : from;
  const int64_t row = int64_t{p.high_in} + p.low_in;
  const int32_t rows = out == kHigh ? p.high_out : p.low_out;
  const QuadBox box{p.input_grad ? kSm90Chunk : columns, 1, 1};
  return map_view(TensorView::behind(
                      weight, (out == kLow ? p.high_out : 0) * row + (in == kLow ? p.high_in : 0)),
                  in == kHigh ? p.high_in : p.low_in, {rows, 1, 1}, {row, rows * row, rows * row},
                  p.input_grad ? columns : kSm90Chunk, box);
}

}  // namespace

Problem stacked(Problem p) {
  if (p.height % 2 == 0) p.height *= p.batch, p.batch = 1;
  return p;
}

int64_t boxes_of(const Problem& p, const QuadBox& box) {
  return int64_t{divide_up(p.quad_width(), box.width)} * divide_up(p.quad_height(), box.height) *
         divide_up(p.batch, box.images);
}

uint32_t absent_phases(const Problem& p) {
  return (p.width > 1 ? 0 : 0b1010) | (p.height > 1 ? 0 : 0b1100);
}

PlaneViews plane_views(const Problem& p, const void* high, const void* low,
                       const std::array<int32_t, 2>& channels, int32_t box_channels,
                       const QuadBox& box) {
  PlaneViews views;
  for (int phase = 0; phase < kLowPlane; ++phase) {
    views[phase] = phase_view(p, high, channels[kHigh], phase, box_channels, box);
  }
  views[kLowPlane] = low_view(p, low, channels[kLow], box_channels, box);
  return views;
}

QuadBox fewest_boxes(const Problem& problem, int32_t most_quads) {
  const Problem p = stacked(problem);
  QuadBox best{1, 1, 1};
  for (int32_t width = std::min(p.quad_width(), most_quads); width > 0; --width) {
    for (int32_t height = std::min(p.quad_height(), most_quads / width); height > 0; --height) {
      const QuadBox box{width, height, std::min(p.batch, most_quads / (width * height))};
      if (boxes_of(p, box) < boxes_of(p, best)) best = box;
    }
  }
  return best;
}

int32_t joint_chunks(const Problem& problem) {
  const Problem p = as_convolution(problem);
  return divide_up(p.high_in, kSm90Chunk) + divide_up(p.low_in, kSm90Chunk);
}

JointViews joint_views(const Problem& problem, const JointCut& cut,
                       const ForwardPointers& pointers) {
  const Problem layer = stacked(problem), p = as_convolution(layer);
  JointViews views;
  views.in =
      plane_views(p, pointers.in_high, pointers.in_low, {p.high_in, p.low_in}, kSm90Chunk, cut.box);
  const std::array<int32_t, 2> out{p.high_out, p.low_out};
  const Epilogue& epilogue = pointers.epilogue;
  views.out = plane_views(p, pointers.out_high, pointers.out_low, out, cut.columns, cut.box);
  views.residual =
      plane_views(p, epilogue.residual_high, epilogue.residual_low,
                  {epilogue.residual_high ? out[kHigh] : 0, epilogue.residual_low ? out[kLow] : 0},
                  cut.columns, cut.box);
  for (const Octave to : {kHigh, kLow}) {
    for (const Octave from : {kHigh, kLow}) {
      views.weight[to][from] = weight_view(layer, pointers.weight, to, from, cut.columns);
    }
  }
  return views;
}

JointSm90Params joint_sm90_params(const Problem& problem, const JointCut& cut,
                                  const ForwardPointers& pointers) {
  const Problem p = as_convolution(stacked(problem));
  JointSm90Params params{};
  params.bias = pointers.bias;
  params.batch = p.batch, params.height = p.height, params.width = p.width;
  params.channels_in[kHigh] = p.high_in, params.channels_in[kLow] = p.low_in;
  params.channels_out[kHigh] = p.high_out, params.channels_out[kLow] = p.low_out;
  params.box = cut.box;
  params.across = divide_up(p.quad_width(), cut.box.width);
  params.down = divide_up(p.quad_height(), cut.box.height);
  params.columns = divide_up(std::max(params.channels_out[kHigh], params.channels_out[kLow]),
                             cut.columns * cut.column_groups);
  params.items = divide_up(boxes_of(p, cut.box), cut.row_groups * cut.sharers) * params.columns;
  params.boxes = cut.boxes, params.slots = cut.slots, params.weights_stay = cut.weights_stay;
  params.splits = cut.splits, params.sharers = cut.sharers;
  params.units = first_units(cut.splits);
  share_chunks(params.chunks, params.channels_in, kHigh, cut.splits);
  for (int32_t rank = 1; rank < cut.sharers; ++rank) params.chunks[rank] = params.chunks[0];
  params.absent = absent_phases(p);
  params.scale = pointers.epilogue.scale, params.shift = pointers.epilogue.shift;
  const void* const residual[] = {pointers.epilogue.residual_high, pointers.epilogue.residual_low};
  for (const Octave octave : {kHigh, kLow}) {
    params.has_residual[octave] = residual[octave] && params.channels_out[octave] > 0;
  }
  params.activation = pointers.epilogue.activation;
  return params;
}

}  // namespace octconv
