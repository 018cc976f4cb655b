#include "kernels/weight_grad_sm90.cuh"
#include "runtime/tensor_copy.h"
#include "setup/weight_grad_sm90.h"
#include "weight_grad.h"

namespace emulation {
namespace {

using octconv::GradSm90Cut;
using octconv::TensorMap;
using octconv::WeightGradSm90Params;

template <typename Traits>
Value run_grad_sm90(const WeightGradCall& call) {
  const auto params_of = [&](const octconv::WeightGradPointers& pointers) {
    const GradSm90Cut cut{Traits::kTile, call.tiles};
    WeightGradSm90Params p = weight_grad_sm90_params(call.problem, cut, pointers);
    for (int job = 0; job < octconv::kJobs; ++job) {
      const octconv::GradSm90Views views = weight_grad_views(p, job);
      p.fixed[job] = tensor_map<TensorMap>(views.fixed);
      p.shifted[job] = tensor_map<TensorMap>(views.shifted);
    }
    return p;
  };
  const auto blocks = [](const WeightGradSm90Params& p) { return p.items(); };
  return run<typename Traits::T>(call, params_of, blocks, octconv::weight_grad_sm90<Traits>,
                                 octconv::kGradSm90Threads);
}

template <typename T>
Value with_tile(int32_t tile, const WeightGradCall& call) {
  Value result;
  octconv::for_each_grad_sm90<T>([&](auto traits) {
    if (decltype(traits)::kTile == tile) result = run_grad_sm90<decltype(traits)>(call);
  });
  if (result.is_none()) throw std::invalid_argument("no kernel has such tiles");
  return result;
}

// As weight_grad_sm80 of bind_weight_grad.cpp, but for the tiles: a number of channels, and of
// W_HH, W_LH, W_HL and W_LL (height, images, splits).
Value weight_grad_sm90(const std::string& dtype, const std::string& tile, const Value& numbers,
                       const Value& shapes, const Value& arrays, bool channels_last,
                       bool wide_output, bool bias, int32_t shared_limit, const Value& options) {
  PixelTiles tiles;
  for (int i = 0; i < octconv::kJobs; ++i) {
    const auto shape = shapes[i];
    const auto number = [&](int at) { return shape[at].cast<int32_t>(); };
    tiles[i] = {octconv::kGradSm90Width, number(0), number(2), number(1)};
  }
  const Problem problem = grad_problem_of(numbers);
  const WeightGradCall call{problem,     tiles, arrays,       channels_last,
                            wide_output, bias,  shared_limit, options};
  return dtype == "bfloat16" ? with_tile<octconv::BFloat16>(std::stoi(tile), call)
                             : with_tile<octconv::Float16>(std::stoi(tile), call);
}

}  // namespace

void bind_weight_grad_sm90(Module& module) { module.add<&weight_grad_sm90>("weight_grad_sm90"); }

}  // namespace emulation
