#include "weight_grad.h"

namespace emulation {

Value weight_grad_tfloat32(const std::string& tiles, const WeightGradCall& call) {
  return with_weight_grad<octconv::TFloat32>(tiles, call);
}

}  // namespace emulation
