// Tensor maps, by the driver.
#pragma once

#include "params/forward_sm90.h"
#include "setup/tensor_view.h"
#include "tensor.h"

namespace octconv {

// Whether the driver is new enough.
bool makes_tensor_maps();

// Of a tensor of bfloat16 or float16, for an operator's call. A box lies in the swizzle of its
// rows, 64 or 128 bytes.
TensorMap tensor_map(const char* op, const TensorView& view, ScalarType dtype);

}  // namespace octconv
