// The CPU operators that other CPU code calls as well.
#pragma once

#include "check/check.h"

namespace octconv {

// The operators of these names; see csrc/ops.cpp.
Tensor pool2x2_cpu(const Tensor& high, const Part& low, bool mean);
void upsample2x2_cpu_(const Tensor& out, const Tensor& low, bool accumulate, bool mean);

// out += part, or out = part; both (N, C, H, W), out channels_last.
void accumulate_cpu_(const Tensor& out, const Tensor& part, bool accumulate);

}  // namespace octconv
