#include "forward_arrays.h"
#include "kernels/forward_1x1_sm90.cuh"
#include "runtime/tensor_copy.h"
#include "setup/forward_1x1_sm90.h"
#include "traits/forward_1x1_sm90.h"

namespace emulation {
namespace {

using octconv::JointCut;
using octconv::JointSm90Params;
using octconv::kHigh;
using octconv::kLow;
using octconv::Octave;
using octconv::Problem;
using octconv::TensorMap;

template <typename Traits>
Value run(const Problem& problem, const JointCut& cut, const Value& arrays, uint32_t blocks,
          const Value& options) {
  Device device(options_from(options));
  const ForwardArrays<typename Traits::T> memory(device, problem, arrays);
  JointSm90Params p = joint_sm90_params(problem, cut, memory.pointers);
  const octconv::JointViews views = joint_views(problem, cut, memory.pointers);
  for (int plane = 0; plane < octconv::kPlanes; ++plane) {
    p.in[plane] = tensor_map<TensorMap>(views.in[plane]);
    p.out[plane] = tensor_map<TensorMap>(views.out[plane]);
    p.residual[plane] = tensor_map<TensorMap>(views.residual[plane]);
  }
  for (const Octave to : {kHigh, kLow}) {
    for (const Octave from : {kHigh, kLow}) {
      p.weight[to][from] = tensor_map<TensorMap>(views.weight[to][from]);
    }
  }
  const auto bytes = static_cast<uint32_t>(Traits::shared_bytes(cut.boxes, cut.slots));
  const int32_t clusters = cut.splits > 1 ? p.items : static_cast<int32_t>(blocks) * p.columns;
  device.launch(octconv::forward_1x1_sm90<Traits>,
                {static_cast<uint32_t>(clusters * cut.cluster()), octconv::kJointThreads, 1, bytes,
                 static_cast<uint32_t>(cut.cluster()), true},
                p);
  return memory.results(device);
}

template <typename T, bool kInputGrad>
Value with_cut(const Problem& problem, const JointCut& cut, const Value& arrays, uint32_t blocks,
               const Value& options) {
  Value result;
  octconv::for_each_joint_sm90<T, kInputGrad>([&](auto traits) {
    using Traits = decltype(traits);
    if (Traits::kColumns != cut.columns || Traits::kColumnGroups != cut.column_groups) return;
    result = run<Traits>(problem, cut, arrays, blocks, options);
  });
  if (result.is_none()) throw std::invalid_argument("no kernel has such tiles");
  return result;
}

template <typename T>
Value with_direction(const Problem& problem, const JointCut& cut, const Value& arrays,
                     uint32_t blocks, const Value& options) {
  return problem.input_grad ? with_cut<T, true>(problem, cut, arrays, blocks, options)
                            : with_cut<T, false>(problem, cut, arrays, blocks, options);
}

// As forward_1x1_sm80 of bind_forward_1x1.cpp, but for the shape: columns and groups of them, boxes
// and slots, 0 for a weight that stays, splits, blocks that share the weight, and the most quads of
// a box. `blocks`, or clusters of those, for each range of columns; of items that are split there
// is a cluster for each.
Value forward_1x1_sm90(const std::string& dtype, const std::string&, const Value& numbers,
                       const Value& shape, const Value& arrays, uint32_t blocks,
                       const Value& options) {
  const auto number = [&](int at) { return shape[at].cast<int32_t>(); };
  const Problem problem = problem_of(numbers);
  const bool stays = number(3) == 0;
  const int32_t slots = stays ? joint_chunks(problem) : number(3);
  const JointCut cut{number(0), 3 - number(1), number(1), fewest_boxes(problem, number(6)),
                     number(2), slots,         stays,     number(4),
                     number(5)};
#if !defined(EMULATION_SANITIZED)  // bfloat16's code but for two conversions, slow to compile
  if (dtype == "float16") {
    return with_direction<octconv::Float16>(problem, cut, arrays, blocks, options);
  }
#endif
  if (dtype != "bfloat16") throw std::invalid_argument("no kernel of " + dtype);
  return with_direction<octconv::BFloat16>(problem, cut, arrays, blocks, options);
}

}  // namespace

void bind_forward_1x1_sm90(Module& module) { module.add<&forward_1x1_sm90>("forward_1x1_sm90"); }

}  // namespace emulation
