// What csrc/plan/forward_cost.h counts of a launch, beside the limits that its tiles must keep.
#include "forward_arrays.h"
#include "plan/forward_1x1_sm80.h"
#include "plan/forward_sm80.h"

namespace emulation {
namespace {

using octconv::ElementType;
using octconv::ForwardParams;
using octconv::Instance;
using octconv::Problem;
using octconv::Program;
using octconv::TileShape;

ElementType type_of(const std::string& dtype) {
  return dtype == "bfloat16"  ? ElementType::kBFloat16
         : dtype == "float16" ? ElementType::kFloat16
                              : ElementType::kTFloat32;
}

Instance instance_named(const std::string& tiles, const Problem& problem, ElementType type) {
  for (const Instance& instance : instances_for(problem, type)) {
    if (tiles == instance.limits.name) return instance;
  }
  throw std::invalid_argument("no tiles are named " + tiles);
}

void add(octconv::TileCost& sum, const octconv::TileCost& cost, int32_t tiles) {
  sum.hmma += tiles * cost.hmma;
  sum.ldmatrix += tiles * cost.ldmatrix;
  sum.copies += tiles * cost.copies;
  sum.ldmatrix_wavefronts += tiles * cost.ldmatrix_wavefronts;
  sum.read_bytes += tiles * cost.read_bytes;
  sum.written_bytes += tiles * cost.written_bytes;
}

Value to_dict(const octconv::TileCost& sum) {
  return Value::dict({{"mma", sum.hmma},
                      {"ldmatrix", sum.ldmatrix},
                      {"copies", sum.copies},
                      {"ldmatrix_wavefronts", sum.ldmatrix_wavefronts},
                      {"read_bytes", sum.read_bytes},
                      {"written_bytes", sum.written_bytes}});
}

Value counts_of(const Instance& instance, const ForwardParams& params) {
  octconv::TileCost sum{};
  for (const bool high : {true, false}) {
    const Program& program = high ? params.high : params.low;
    for (int32_t split = 0; split < program.splits && program.tiles() > 0; ++split) {
      add(sum, tile_cost(instance, *octconv::known_device("H200"), params, high, split),
          program.tiles());
    }
  }
  return to_dict(sum);
}

// Arguments as of forward_sm80; for each kind of tile its tiles, and the halos that it loads.
Value forward_launch(const std::string& dtype, const std::string& tiles, const Value& numbers,
                     const Value& shapes, const Value&) {
  const Problem problem = problem_of(numbers);
  const auto shape_of = [&](int i) {
    const auto shape = shapes[i];
    return TileShape{shape[0].cast<int32_t>(), shape[1].cast<int32_t>(), shape[2].cast<int32_t>()};
  };
  const Instance instance = instance_named(tiles, problem, type_of(dtype));
  const auto stages = shapes[2].cast<int32_t>();
  const ForwardParams params = shape_params(problem, instance, shape_of(0), shape_of(1), stages);
  Value kinds[2];
  for (const bool high : {true, false}) {
    const Program& program = high ? params.high : params.low;
    const auto& limits = high ? instance.limits.high : instance.limits.low;
    Value halos = Value::list();
    for (const auto& segment : program.segment) {
      if (segment.channels == 0 || program.columns == 0) continue;
      const auto extent = octconv::halo_extent(program, segment, instance.limits.padding);
      halos.append(extent.rows);
    }
    kinds[high] = Value::dict({{"across", program.tiles_across},
                               {"down", program.tiles_down},
                               {"columns", program.tiles_columns},
                               {"splits", program.splits},
                               {"chunks", program.chunks[0] + program.chunks[1]},
                               {"most_quads", limits.quads},
                               {"most_columns", limits.columns},
                               {"halo_rows", halos}});
  }
  return Value::dict(
      {{"high", kinds[true]},
       {"low", kinds[false]},
       {"most_halo_rows", instance.limits.table_rows},
       {"shared_bytes", shared_bytes(instance.limits, params.halo_bytes, params.weight_stages)},
       {"sums", instance.limits.sums},
       {"counts", counts_of(instance, params)}});
}

// Arguments as of forward_1x1_sm80.
Value forward_1x1_launch(const std::string& dtype, const std::string& tiles, const Value& numbers,
                         const Value& shape, const Value&) {
  const Problem problem = problem_of(numbers);
  for (const auto& limits : octconv::joint_instances_for(problem, type_of(dtype))) {
    if (tiles != limits.name) continue;
    const auto params =
        joint_params(problem, limits, {shape[0].cast<int32_t>(), shape[1].cast<int32_t>()});
    octconv::TileCost sum{};
    for (int32_t column = 0; column < params.tiles_columns; ++column) {
      add(sum, joint_cost(limits, *octconv::known_device("H200"), params, column),
          params.items / params.tiles_columns);
    }
    return Value::dict({{"items", params.items},
                        {"columns", params.tiles_columns},
                        {"most_quads", limits.quads},
                        {"most_columns", limits.part_columns},
                        {"shared_bytes", params.stages * limits.stage_bytes},
                        {"counts", to_dict(sum)}});
  }
  throw std::invalid_argument("no tiles are named " + tiles);
}

// The plans of many problems, one after the other out of one cache, in words.
Value remembered_plans(const std::string& dtype, const std::string& device, const Value& problems,
                       const Value&) {
  octconv::PlanCache cache;
  Value texts = Value::list();
  for (size_t i = 0; i < problems.size(); ++i) {
    const Problem problem = problem_of(problems[i]);
    texts.append(to_string(cache.plan(problem, type_of(dtype), *octconv::known_device(device))));
  }
  return texts;
}

// The name of the known device that serves for one with these facts, and whether a library built
// for `archs` passes registers there, and runs there at all.
Value facts_of_device(int32_t major, int32_t minor, int32_t multiprocessors,
                      int32_t shared_per_block, const std::string& archs, const Value&) {
  const auto facts = octconv::device_facts(major, minor, multiprocessors, shared_per_block, archs);
  return Value::tuple({facts.name, facts.passes_registers(), facts.has_code});
}

// The tiles that a plan chooses on an H100 with a library built for `archs`.
Value tiles_on_h100(const std::string& dtype, const std::string& archs, const Value& numbers,
                    const Value&) {
  const auto facts = octconv::device_facts(9, 0, 132, 232448, archs);
  return octconv::plan_forward(problem_of(numbers), type_of(dtype), facts).tiles;
}

}  // namespace

void bind_plan(Module& module) {
  module.add<&forward_launch>("forward_launch");
  module.add<&forward_1x1_launch>("forward_1x1_launch");
  module.add<&remembered_plans>("remembered_plans");
  module.add<&facts_of_device>("facts_of_device");
  module.add<&tiles_on_h100>("tiles_on_h100");
}

}  // namespace emulation
