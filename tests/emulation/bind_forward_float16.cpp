#include "forward.h"

namespace emulation {

py::tuple forward_float16(const std::string& tiles, const Problem& problem, const py::tuple& shapes,
                          const py::dict& arrays, uint32_t blocks, const py::dict& options) {
#if defined(EMULATION_SANITIZED)  // the code of bfloat16, slow to compile
  return forward_bfloat16(tiles, problem, shapes, arrays, blocks, options);
#else
  return with_kernel<octconv::Float16>(tiles, problem, shapes, arrays, blocks, options);
#endif
}

}  // namespace emulation
