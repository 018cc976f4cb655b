#include "forward_sm90.h"

namespace emulation {

Value forward_sm90_bfloat16(const Problem& problem, const PlanSm90& plan, const Value& arrays,
                            const Value& options) {
  return with_plan_sm90<octconv::BFloat16>(problem, plan, arrays, options);
}

}  // namespace emulation
