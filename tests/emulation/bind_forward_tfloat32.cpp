#include "forward.h"

namespace emulation {

py::tuple forward_tfloat32(const std::string& tiles, const Problem& problem,
                           const py::tuple& shapes, const py::dict& arrays, uint32_t blocks,
                           const py::dict& options) {
  return with_kernel<octconv::TFloat32>(tiles, problem, shapes, arrays, blocks, options);
}

}  // namespace emulation
