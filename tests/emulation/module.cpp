// The Python module of the emulation. Its functions take numpy arrays and return
// (result, counters); a defect of a kernel raises EmulationError.
#include "bindings.h"

namespace emulation {

Options options_from(const py::dict& options) {
  Options result;
  for (const auto& [key, value] : options) {
    const auto name = key.cast<std::string>();
    if (name == "schedule") {
      const auto schedule = value.cast<std::string>();
      if (schedule == "order") {
        result.schedule = Schedule::kOrder;
      } else if (schedule == "shuffle") {
        result.schedule = Schedule::kShuffle;
      } else if (schedule == "priorities") {
        result.schedule = Schedule::kPriorities;
      } else {
        throw std::invalid_argument("schedule must be order, shuffle or priorities, got " +
                                    schedule);
      }
    } else if (name == "late") {
      result.late = value.cast<bool>();
    } else if (name == "seed") {
      result.seed = value.cast<uint64_t>();
    } else if (name == "resident_blocks") {
      result.resident_blocks = value.cast<uint32_t>();
    } else if (name == "count") {
      result.count = value.cast<bool>();
    } else {
      throw std::invalid_argument("no option is named " + name);
    }
  }
  return result;
}

py::dict to_dict(const Counters& counters) {
  py::dict result;
  result["launches"] = counters.launches;
  result["sectors_read"] = counters.sectors_read;
  result["sectors_written"] = counters.sectors_written;
  result["copies"] = counters.copies;
  result["ldmatrix"] = counters.ldmatrix;
  result["mma"] = counters.mma;
  result["ldmatrix_wavefronts"] = counters.ldmatrix_wavefronts;
  result["load_wavefronts"] = counters.load_wavefronts;
  result["store_wavefronts"] = counters.store_wavefronts;
  result["copy_wavefronts"] = counters.copy_wavefronts;
  result["bank_conflicts"] = counters.bank_conflicts;
  result["box_copies"] = counters.box_copies;
  result["box_bytes"] = counters.box_bytes;
  result["box_sectors"] = counters.box_sectors;
  result["wgmma"] = counters.wgmma;
  result["cluster_bytes"] = counters.cluster_bytes;
  return result;
}

}  // namespace emulation

PYBIND11_MODULE(kernel_emulation, module) {
  emulation::py::register_exception<emulation::Failure>(module, "EmulationError",
                                                        PyExc_RuntimeError);
  emulation::bind_forward(module);
  emulation::bind_forward_1x1(module);
  emulation::bind_forward_1x1_sm90(module);
  emulation::bind_forward_sm90(module);
  emulation::bind_gemm(module);
  emulation::bind_plan(module);
  emulation::bind_planted(module);
  emulation::bind_pool2x2(module);
  emulation::bind_probes(module);
  emulation::bind_weight_grad(module);
  emulation::bind_weight_grad_1x1_sm90(module);
  emulation::bind_weight_grad_sm90(module);
}
