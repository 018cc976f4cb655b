// octconv_cuda::forward on the CPU: octconv_cuda/convolutions.py in C++, which halves the time
// between the convolutions, with oneDNN's where they are faster. The low input meets W_LH and W_LL
// in one of them; pooling and upsampling take one pass each.
#include "check/forward.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <atomic>
#include <optional>
#include <tuple>
#include <vector>

#include "cpu/resample.h"
#include "tensor.h"
#include "text.h"

namespace octconv {
namespace {

// A view of `length` indices of one dimension.
Tensor narrow(const Tensor& tensor, int64_t dim, int64_t start, int64_t length) {
  const auto sizes = tensor.sizes();
  std::vector<int64_t> view(sizes.begin(), sizes.end());
  view[dim] = length;
  AtenTensorHandle handle;
  check_call("view", aoti_torch__reinterpret_tensor(tensor.get(), tensor.dim(), view.data(),
                                                    tensor.strides().data(),
                                                    start * tensor.stride(dim), &handle));
  return Tensor(handle);
}

Part narrow(const Part& tensor, int64_t dim, int64_t start, int64_t length) {
  return tensor ? Part(narrow(*tensor, dim, start, length)) : std::nullopt;
}

// Fewer multiply-adds do not repay the 20 us that a call of oneDNN's takes.
constexpr int64_t kLeastForOneDnn = int64_t{1} << 21;
std::atomic<bool> onednn_allowed = false;

bool use_onednn(const Tensor& x, const Tensor& weight) {
  return onednn_allowed && x.scalar_type() == torch::headeronly::ScalarType::Float &&
         x.numel() * weight.size(0) * weight.size(2) * weight.size(3) >= kLeastForOneDnn;
}

// A convolution at stride 1 with "same" padding. PyTorch's own choice takes 1x1 taps of few images
// on one thread, and small maps, to BLAS: with AVX2 faster for one image, slower for eight
// (benchmarks/results/amd-epyc/onednn-or-blas.txt).
Tensor convolve(const Tensor& x, const Tensor& weight, const Part& bias) {
  using torch::stable::detail::to;
  const std::vector<int64_t> ones = {1, 1}, zeros = {0, 0};
  const std::vector<int64_t> padding = {weight.size(2) / 2, weight.size(3) / 2};
  if (use_onednn(x, weight)) {
    Part dense_bias;  // oneDNN takes no other, and does not look
    if (bias) dense_bias = as_contiguous(*bias);
    return to<Tensor>(dispatch("aten::mkldnn_convolution", x, weight, dense_bias, padding, ones,
                               ones, int64_t{1})[0]);
  }
  return to<Tensor>(dispatch("aten::convolution", x, weight, bias, ones, padding, ones, false,
                             zeros, int64_t{1})[0]);
}

// The same values in just the strides of channels_last, also where a size is 1.
Tensor exact_strides(const Tensor& y) {
  const int64_t channels = y.size(1), height = y.size(2), width = y.size(3);
  if (y.stride(0) == height * width * channels && y.stride(1) == 1 &&
      y.stride(2) == width * channels && y.stride(3) == channels) {
    return y;
  }
  const Tensor out = empty_channels_last(y, {y.size(0), channels, height, width});
  check_call("copy_", aoti_torch_copy_(out.get(), y.get(), 0));
  return out;
}

// The part in channels_last; none if it is absent or has no channels.
Part present(const Part& part) {
  if (!part || part->size(1) == 0) return std::nullopt;
  return as_channels_last(*part);
}

std::tuple<Tensor, Tensor> forward(const Part& x_high, const Part& x_low, const Tensor& weight,
                                   const Part& bias, int64_t high_out, std::vector<int64_t> size,
                                   int64_t stride, bool /*allow_tf32*/, Text /*family*/) {
  check_forward("forward", x_high, x_low, weight, bias, high_out, size, stride);
  const NoGrad no_grad;
  Part high = present(x_high), low = present(x_low);
  if (stride == 2) {
    // The layer is the stride-1 operator of [pool(x_high) ; x_low].
    high = high ? pool2x2_cpu(*high, low, true) : low;
    low = std::nullopt;
    size = {half_up(size[0]), half_up(size[1])};
  }
  const Tensor& x = high ? *high : *low;
  const int64_t high_in = high ? x.size(1) : 0, low_in = weight.size(1) - high_in;
  const int64_t low_out = weight.size(0) - high_out;
  const bool add = high.has_value();  // else what comes from low is all there is

  Part from_low;
  if (low) {
    const Tensor columns = narrow(weight, 1, high_in, low_in);
    from_low = convolve(*low, columns, high ? std::nullopt : bias);
  }
  const auto convolve_high = [&](const Tensor& map, int64_t row, int64_t rows) {
    const Tensor block = narrow(narrow(weight, 0, row, rows), 1, 0, high_in);
    return exact_strides(convolve(map, block, narrow(bias, 0, row, rows)));
  };
  const Tensor y_high = high && high_out
                            ? convolve_high(*high, 0, high_out)
                            : empty_channels_last(x, {x.size(0), high_out, size[0], size[1]});
  if (low && high_out) {
    upsample2x2_cpu_(y_high, narrow(*from_low, 1, 0, high_out), add, /*mean=*/false);
  }
  const Tensor y_low =
      high && low_out
          ? convolve_high(pool2x2_cpu(*high, std::nullopt, /*mean=*/true), high_out, low_out)
          : empty_channels_last(x, {x.size(0), low_out, half_up(size[0]), half_up(size[1])});
  if (low && low_out) accumulate_cpu_(y_low, narrow(*from_low, 1, high_out, low_out), add);
  return {y_high, y_low};
}

void allow_onednn(bool allowed) { onednn_allowed = allowed; }

}  // namespace
}  // namespace octconv

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CPU, m) { m.impl("forward", TORCH_BOX(&octconv::forward)); }

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CompositeExplicitAutograd, m) {
  m.impl("allow_onednn", TORCH_BOX(&octconv::allow_onednn));
}
