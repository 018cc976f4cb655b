// From an operator's arguments to its parameters, the same for every device: checks, layouts and
// the allocation of the result. The tensors are kept beside the parameters that point into them.
#pragma once

#include <limits>
#include <optional>

#include "check/check.h"
#include "params/resample.h"
#include "tensor.h"

namespace octconv {

struct Pool2x2Call {
  Tensor high;
  Part low;
  Tensor out;
  Pool2x2Params params;
};

inline Pool2x2Call prepare_pool2x2(const Tensor& high, const Part& low, bool mean) {
  check_map("pool2x2", "high", high);
  if (low) check_low("pool2x2", *low, "high", high, -1);

  Pool2x2Params p{};
  p.batch = static_cast<int32_t>(high.size(0));
  p.high_channels = static_cast<int32_t>(high.size(1));
  p.height = static_cast<int32_t>(high.size(2));
  p.width = static_cast<int32_t>(high.size(3));
  p.mean = mean;

  const int64_t low_channels = low ? low->size(1) : 0;
  if (p.high_channels + low_channels > std::numeric_limits<int32_t>::max()) {
    fail("pool2x2", "high and low must have fewer than 2^31 channels together, got ",
         p.high_channels, " and ", low_channels);
  }
  p.low_channels = static_cast<int32_t>(low_channels);

  Pool2x2Call call{
      with_dense_channels(high), std::nullopt,
      empty_channels_last(high, {p.batch, p.out_channels(), p.out_height(), p.out_width()}), p};
  call.params.high = call.high.const_data_ptr();
  call.params.high_stride = strides_of(call.high);
  if (low) {
    call.low = with_dense_channels(*low);
    call.params.low = call.low->const_data_ptr();
    call.params.low_stride = strides_of(*call.low);
  }
  call.params.out = call.out.mutable_data_ptr();
  return call;
}

// All but accumulate and mean, of maps whose channels lie next to each other.
inline Upsample2x2Params upsample2x2_params(const Tensor& out, const Tensor& low, int32_t factor) {
  Upsample2x2Params p{};
  p.out = out.mutable_data_ptr();
  p.low = low.const_data_ptr();
  p.out_stride = strides_of(out);
  p.low_stride = strides_of(low);
  p.batch = static_cast<int32_t>(out.size(0));
  p.channels = static_cast<int32_t>(out.size(1));
  p.height = static_cast<int32_t>(out.size(2));
  p.width = static_cast<int32_t>(out.size(3));
  p.factor = factor;
  return p;
}

struct Upsample2x2Call {
  Tensor out;  // what the parameters point into: the caller's tensor, or a channels_last copy of it
  Tensor low;
  Upsample2x2Params params;
};

inline Upsample2x2Call prepare_upsample2x2(const Tensor& out, const Tensor& low, bool accumulate,
                                           bool mean) {
  check_map("upsample2x2_", "out", out);
  check_low("upsample2x2_", low, "out", out, out.size(1));
  if (may_overlap(out)) {
    fail("upsample2x2_", "out must not overlap itself, got ", shape_text(out.sizes()),
         " with strides ", shape_text(out.strides()));
  }

  Upsample2x2Call call{with_dense_channels(out), with_dense_channels(low), {}};
  call.params = upsample2x2_params(call.out, call.low, 2);
  call.params.accumulate = accumulate;
  call.params.mean = mean;
  return call;
}

}  // namespace octconv
