#include "forward_sm90.h"

namespace emulation {

Value forward_sm90_bfloat16(const Problem& problem, const Sm90Cut& cut, const Value& arrays,
                            const Value& options) {
  return with_cut_sm90<octconv::BFloat16>(problem, cut, arrays, options);
}

}  // namespace emulation
