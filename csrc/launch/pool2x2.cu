// octconv_cuda::pool2x2 on CUDA devices.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "kernels/pool2x2.cuh"
#include "launch/launch.cuh"
#include "prepare.h"

namespace octconv {
namespace {

Tensor pool2x2_cuda(const Tensor& high, const std::optional<Tensor>& low, bool mean) {
  const Pool2x2Call call = prepare_pool2x2(high, low, mean);
  const Pool2x2Params& p = call.params;
  if (call.out.numel() == 0) return call.out;
  if (int64_t{p.batch} * p.out_height() > std::numeric_limits<int32_t>::max()) {
    fail("pool2x2", "the output must have fewer than 2^31 rows, got ",
         shape_text(call.out.sizes()));
  }
  const torch::stable::accelerator::DeviceGuard guard(high.get_device_index());
  const cudaStream_t stream = current_stream(high);
  dispatch_dtype(high.scalar_type(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int kVector = 16 / sizeof(T);
    if (pool2x2_vectorises(p, sizeof(T))) {
      launch(pool2x2<Pool2x2Traits<T, kVector>>, pool2x2_shape(p, kVector), p, stream);
    } else {
      launch(pool2x2<Pool2x2Traits<T, 1>>, pool2x2_shape(p, 1), p, stream);
    }
  });
  check_launch("pool2x2");
  return call.out;
}

}  // namespace
}  // namespace octconv

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CUDA, m) {
  m.impl("pool2x2", TORCH_BOX(&octconv::pool2x2_cuda));
}
