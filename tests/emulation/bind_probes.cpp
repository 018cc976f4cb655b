#include <algorithm>
#include <cstring>
#include <iterator>

#include "bindings.h"
#include "kernels/probe_list.cuh"

namespace emulation {
namespace {

// (name, bytes of the input, bytes of the output) of each.
Value probes(const Value&) {
  Value result = Value::list();
  for (const octconv::Probe& probe : octconv::kProbes) {
    result.append(Value::tuple({probe.name, probe.in_bytes, probe.out_bytes}));
  }
  return result;
}

// Returns the bytes that the probe wrote, and the counters.
Value run_probe(const std::string& name, const Array& in, const Value& options) {
  const auto* probe = std::find_if(std::begin(octconv::kProbes), std::end(octconv::kProbes),
                                   [&](const auto& each) { return each.name == name; });
  if (probe == std::end(octconv::kProbes)) throw std::invalid_argument("no probe is named " + name);
  if (in.bytes != probe->in_bytes) {
    throw std::invalid_argument(name + " reads " + std::to_string(probe->in_bytes) + " bytes");
  }
  Device device(options_from(options));
  octconv::ProbeParams p{};
  p.in = input(device, "in", in);
  p.out = device.output("out", probe->out_bytes);
  p.counters =
      static_cast<uint32_t*>(device.zeros("counters", octconv::kProbeCounters * sizeof(uint32_t)));
  for (uint32_t i = 0; i < octconv::kProbeMaps; ++i) {
    const octconv::ProbeTensor& tensor = probe->tensors[i];
    if (tensor.rank == 0) continue;
    const char* memory = static_cast<const char*>(tensor.of_output ? p.out : p.in);
    const TensorDescription map = describe_tensor(memory + tensor.offset, tensor.rank, tensor.sizes,
                                                  tensor.strides, tensor.box);
    std::memcpy(&p.maps[i], &map, sizeof map);
  }
  device.launch(probe->kernel, probe->shape, p);
  device.check_outputs();
  return Value::tuple({copy_out<uint8_t>(p.out, probe->out_bytes), to_dict(device.counters())});
}

}  // namespace

void bind_probes(Module& module) {
  module.add<&probes>("probes");
  module.add<&run_probe>("probe");
}

}  // namespace emulation
