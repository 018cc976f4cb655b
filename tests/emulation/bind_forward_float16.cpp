#include "forward.h"

namespace emulation {

Value forward_float16(const std::string& tiles, const Problem& problem, const Value& shapes,
                      const Value& arrays, uint32_t blocks, const Value& options) {
#if defined(EMULATION_SANITIZED)  // bfloat16's code but for two conversions, slow to compile
  (void)tiles, (void)problem, (void)shapes, (void)arrays, (void)blocks, (void)options;
  throw std::invalid_argument("no float16 under sanitizers");
#else
  return with_direction<octconv::Float16>(tiles, problem, shapes, arrays, blocks, options);
#endif
}

}  // namespace emulation
