#include "forward_sm90.h"

namespace emulation {

Value forward_sm90_float16(const Problem& problem, const Sm90Cut& cut, const Value& arrays,
                           const Value& options) {
#if defined(EMULATION_SANITIZED)  // bfloat16's code but for two conversions, slow to compile
  (void)problem, (void)cut, (void)arrays, (void)options;
  throw std::invalid_argument("no float16 under sanitizers");
#else
  return with_cut_sm90<octconv::Float16>(problem, cut, arrays, options);
#endif
}

}  // namespace emulation
