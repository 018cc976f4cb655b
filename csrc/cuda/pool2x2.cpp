// octconv_cuda::pool2x2 and its gradient on CUDA devices.
#include "cuda/pool2x2.h"

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include <limits>

#include "cuda/call.h"
#include "cuda/device.h"
#include "launch/pool2x2.h"
#include "prepare.h"

namespace octconv {

Tensor pool2x2_cuda(const Tensor& high, const Part& low, bool mean) {
  if (!device_of(high.get_device_index()).why_no_kernels.empty()) {
    using torch::stable::detail::to;
    const auto results = dispatch("octconv_cuda::composed_pool2x2", high, low, mean);
    return to<Tensor>(results[0]);
  }
  const Pool2x2Call call = prepare_pool2x2(high, low, mean);
  const Pool2x2Params& p = call.params;
  if (call.out.numel() == 0) return call.out;
  if (int64_t{p.batch} * p.out_height() > std::numeric_limits<int32_t>::max()) {
    fail("pool2x2", "the output must have fewer than 2^31 rows, got ",
         shape_text(call.out.sizes()));
  }
  const torch::stable::accelerator::DeviceGuard guard(high.get_device_index());
  const cudaStream_t stream = current_stream(high);
  dispatch_dtype(high.scalar_type(),
                 [&](auto tag) { launch_pool2x2<typename decltype(tag)::type>(p, stream); });
  check_launch("pool2x2");
  return call.out;
}

std::tuple<Tensor, Tensor> pool2x2_input_grad(const char* op, const Tensor& dz,
                                              int64_t high_channels, int64_t height,
                                              int64_t width) {
  const int64_t low_channels = dz.size(1) - high_channels;
  Tensor dx_high = empty_channels_last(dz, {dz.size(0), high_channels, height, width});
  Tensor dx_low = empty_channels_last(dz, {dz.size(0), low_channels, dz.size(2), dz.size(3)});
  const Pool2x2GradParams p{dz.const_data_ptr(),
                            dx_high.mutable_data_ptr(),
                            dx_low.mutable_data_ptr(),
                            static_cast<int32_t>(dz.size(0)),
                            static_cast<int32_t>(height),
                            static_cast<int32_t>(width),
                            static_cast<int32_t>(high_channels),
                            static_cast<int32_t>(low_channels)};
  const torch::stable::accelerator::DeviceGuard guard(dz.get_device_index());
  const cudaStream_t stream = current_stream(dz);
  dispatch_dtype(dz.scalar_type(), [&](auto tag) {
    launch_pool2x2_input_grad<typename decltype(tag)::type>(p, stream);
  });
  check_launch(op);
  return {dx_high, dx_low};
}

}  // namespace octconv

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CUDA, m) {
  m.impl("pool2x2", TORCH_BOX(&octconv::pool2x2_cuda));
}
