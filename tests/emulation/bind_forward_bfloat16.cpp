#include "forward.h"

namespace emulation {

py::tuple forward_bfloat16(const std::string& tiles, const Problem& problem,
                           const py::tuple& shapes, const py::dict& arrays, uint32_t blocks,
                           const py::dict& options) {
  return with_kernel<octconv::BFloat16>(tiles, problem, shapes, arrays, blocks, options);
}

}  // namespace emulation
