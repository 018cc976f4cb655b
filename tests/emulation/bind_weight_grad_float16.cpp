#include "weight_grad.h"

namespace emulation {

Value weight_grad_float16(const std::string& tiles, const WeightGradCall& call) {
#if defined(EMULATION_SANITIZED)  // bfloat16's code but for two conversions, slow to compile
  (void)tiles, (void)call;
  throw std::invalid_argument("no float16 under sanitizers");
#else
  return with_weight_grad<octconv::Float16>(tiles, call);
#endif
}

}  // namespace emulation
