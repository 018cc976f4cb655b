#include "kernels/weight_grad_1x1_sm90.cuh"
#include "runtime/tensor_copy.h"
#include "setup/weight_grad_1x1_sm90.h"
#include "weight_grad.h"

namespace emulation {
namespace {

using octconv::JointGradSm90Cut;
using octconv::JointGradSm90Params;
using octconv::TensorMap;

template <typename Traits>
Value run_joint_grad_sm90(const WeightGradCall& call) {
  const JointGradSm90Cut cut{Traits::kRows, Traits::kColumns, octconv::grad_box(call.problem),
                             call.tiles[0].splits};
  const auto params_of = [&](const octconv::WeightGradPointers& pointers) {
    JointGradSm90Params p = joint_grad_sm90_params(call.problem, cut, pointers);
    const octconv::JointGradViews views = joint_grad_views(call.problem, cut, pointers);
    for (int plane = 0; plane < octconv::kPlanes; ++plane) {
      p.dy[plane] = tensor_map<TensorMap>(views.dy[plane]);
      p.x[plane] = tensor_map<TensorMap>(views.x[plane]);
    }
    return p;
  };
  const auto blocks = [](const JointGradSm90Params& p) { return p.blocks(); };
  return run<typename Traits::T>(call, params_of, blocks, octconv::weight_grad_1x1_sm90<Traits>,
                                 octconv::kJointGradThreads);
}

template <typename T>
Value with_rows(const std::string& rows, const WeightGradCall& call) {
  Value result;
  octconv::for_each_joint_grad_sm90<T>([&](auto traits) {
    using Traits = decltype(traits);
    if (std::to_string(Traits::kRows) == rows) result = run_joint_grad_sm90<Traits>(call);
  });
  if (result.is_none()) throw std::invalid_argument("no kernel has such tiles");
  return result;
}

// As weight_grad_sm80 of bind_weight_grad.cpp, but for the tiles: the rows of one, and the first
// shape's splits.
Value weight_grad_1x1_sm90(const std::string& dtype, const std::string& rows, const Value& numbers,
                           const Value& shapes, const Value& arrays, bool channels_last,
                           bool wide_output, bool bias, int32_t shared_limit,
                           const Value& options) {
  PixelTiles tiles;
  tiles[0].splits = shapes[0][2].cast<int32_t>();
  const Problem problem = grad_problem_of(numbers);
  const WeightGradCall call{problem,     tiles, arrays,       channels_last,
                            wide_output, bias,  shared_limit, options};
  return dtype == "bfloat16" ? with_rows<octconv::BFloat16>(rows, call)
                             : with_rows<octconv::Float16>(rows, call);
}

}  // namespace

void bind_weight_grad_1x1_sm90(Module& module) {
  module.add<&weight_grad_1x1_sm90>("weight_grad_1x1_sm90");
}

}  // namespace emulation
