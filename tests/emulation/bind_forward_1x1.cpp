#include "forward_arrays.h"
#include "kernels/forward_1x1_sm80.cuh"
#include "setup/forward_1x1_sm80.h"

namespace emulation {
namespace {

using octconv::Problem;

template <typename Traits>
Value run(const Problem& problem, const Value& shape, const Value& arrays, uint32_t blocks,
          const Value& options) {
  Device device(options_from(options));
  const ForwardArrays<typename Traits::T> memory(device, problem, arrays);
  const octconv::JointShape joint{shape[0].cast<int32_t>(), shape[1].cast<int32_t>()};
  const auto p = forward_1x1_params(problem, octconv::limits_1x1<Traits>(), joint, memory.pointers);
  const auto shared_bytes = static_cast<uint32_t>(p.stages * Traits::kStageBytes);
  device.launch(octconv::forward_1x1_sm80<Traits>, {blocks, Traits::kThreads, 1, shared_bytes}, p);
  return memory.results(device);
}

template <typename T, bool kTransposed>
Value with_tiles(const std::string& tiles, const Problem& problem, const Value& shape,
                 const Value& arrays, uint32_t blocks, const Value& options) {
  Value result;
  octconv::for_each_forward_1x1<T, kTransposed>([&](auto traits) {
    using Traits = decltype(traits);
    if (tiles != Traits::Tiles::kName) return;
    result = run<Traits>(problem, shape, arrays, blocks, options);
  });
  if (result.is_none()) throw std::invalid_argument("no tiles are named " + tiles);
  return result;
}

// As forward_sm80 of bind_forward.cpp, but that shape is (quads of a tile, stages).
Value forward_1x1_sm80(const std::string& dtype, const std::string& tiles, const Value& numbers,
                       const Value& shape, const Value& arrays, uint32_t blocks,
                       const Value& options) {
  const Problem problem = problem_of(numbers);
  if (!serves_1x1(problem)) throw std::invalid_argument("not a problem of forward_1x1_sm80");
  return with_element(dtype, [&](auto tag) -> Value {
    using T = typename decltype(tag)::type;
#if defined(EMULATION_SANITIZED)  // bfloat16's code but for two conversions
    if constexpr (std::is_same_v<T, octconv::Float16>) {
      throw std::invalid_argument("no float16 under sanitizers");
    } else
#endif
    {
      return problem.input_grad
                 ? with_tiles<T, true>(tiles, problem, shape, arrays, blocks, options)
                 : with_tiles<T, false>(tiles, problem, shape, arrays, blocks, options);
    }
  });
}

}  // namespace

void bind_forward_1x1(Module& module) { module.add<&forward_1x1_sm80>("forward_1x1_sm80"); }

}  // namespace emulation
