#include "bindings.h"

namespace emulation {
namespace {

Schedule schedule_named(const std::string& name) {
  if (name == "order") return Schedule::kOrder;
  if (name == "shuffle") return Schedule::kShuffle;
  if (name == "priorities") return Schedule::kPriorities;
  throw std::invalid_argument("schedule must be order, shuffle or priorities, got " + name);
}

}  // namespace

Options options_from(const Value& options) {
  if (options.size() != 5) throw std::invalid_argument("a device has five options");
  Options result;
  result.schedule = schedule_named(options["schedule"].cast<std::string>());
  result.late = options["late"].cast<bool>();
  result.seed = options["seed"].cast<uint64_t>();
  result.resident_blocks = options["resident_blocks"].cast<uint32_t>();
  result.count = options["count"].cast<bool>();
  return result;
}

Value to_dict(const Counters& counters) {
  return Value::dict({{"launches", counters.launches},
                      {"translated", counters.translated},
                      {"sectors_read", counters.sectors_read},
                      {"sectors_written", counters.sectors_written},
                      {"copies", counters.copies},
                      {"ldmatrix", counters.ldmatrix},
                      {"mma", counters.mma},
                      {"ldmatrix_wavefronts", counters.ldmatrix_wavefronts},
                      {"load_wavefronts", counters.load_wavefronts},
                      {"store_wavefronts", counters.store_wavefronts},
                      {"copy_wavefronts", counters.copy_wavefronts},
                      {"bank_conflicts", counters.bank_conflicts},
                      {"box_copies", counters.box_copies},
                      {"box_bytes", counters.box_bytes},
                      {"cold_maps", counters.cold_maps},
                      {"box_sectors", counters.box_sectors},
                      {"wgmma", counters.wgmma},
                      {"cluster_bytes", counters.cluster_bytes}});
}

}  // namespace emulation
