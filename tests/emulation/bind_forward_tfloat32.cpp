#include "forward.h"

namespace emulation {

Value forward_tfloat32(const std::string& tiles, const Problem& problem, const Value& shapes,
                       const Value& arrays, uint32_t blocks, const Value& options) {
  return with_direction<octconv::TFloat32>(tiles, problem, shapes, arrays, blocks, options);
}

}  // namespace emulation
