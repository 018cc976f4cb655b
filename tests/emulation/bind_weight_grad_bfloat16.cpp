#include "weight_grad.h"

namespace emulation {

Value weight_grad_bfloat16(const std::string& tiles, const WeightGradCall& call) {
  return with_weight_grad<octconv::BFloat16>(tiles, call);
}

}  // namespace emulation
