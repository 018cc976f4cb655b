// The operators' schemas. Implementations register themselves beside their code: csrc/cpu and
// csrc/cuda, and octconv_cuda/ops.py for what PyTorch's own operators compute.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <string>

#include "build_info.h"
#include "sources.h"  // written by setup.py

STABLE_TORCH_LIBRARY(octconv_cuda, m) {
  m.def(
      "forward(Tensor? x_high, Tensor? x_low, Tensor weight, Tensor? bias, SymInt high_out, "
      "SymInt[2] size, int stride, bool allow_tf32, str family=\"\") -> (Tensor, Tensor)");
  // The only one that autograd, autocast and torch.func know; exported programs call it.
  m.def(
      "oct_conv2d(Tensor? x_high, Tensor? x_low, Tensor weight, Tensor? bias, SymInt high_out, "
      "SymInt[2] size, int stride, str family=\"\") -> (Tensor, Tensor)");
  m.def(
      "inference(Tensor? x_high, Tensor? x_low, Tensor weight, Tensor? bias, Tensor scale, "
      "Tensor shift, Tensor? residual_high, Tensor? residual_low, int activation, "
      "SymInt high_out, SymInt[2] size, int stride, bool allow_tf32, str family=\"\") -> (Tensor, "
      "Tensor)");
  m.def(
      "input_grad(Tensor dy_high, Tensor dy_low, Tensor weight, SymInt high_in, SymInt[2] size, "
      "int stride, bool allow_tf32, str family=\"\") -> (Tensor, Tensor)");
  // What the kernels leave to PyTorch's own operators, which take a family and do not look at it:
  // they get None of it, for PyTorch before 2.15 leaks a text that it is given.
  m.def(
      "composed_forward(Tensor? x_high, Tensor? x_low, Tensor weight, Tensor? bias, "
      "SymInt high_out, SymInt[2] size, int stride, bool allow_tf32, str? family=None) -> (Tensor, "
      "Tensor)");
  m.def(
      "composed_inference(Tensor? x_high, Tensor? x_low, Tensor weight, Tensor? bias, "
      "Tensor scale, Tensor shift, Tensor? residual_high, Tensor? residual_low, int activation, "
      "SymInt high_out, SymInt[2] size, int stride, bool allow_tf32, str? family=None) -> (Tensor, "
      "Tensor)");
  m.def(
      "composed_input_grad(Tensor dy_high, Tensor dy_low, Tensor weight, SymInt high_in, "
      "SymInt[2] size, int stride, bool allow_tf32, str? family=None) -> (Tensor, Tensor)");
  m.def(
      "weight_grad(Tensor? x_high, Tensor? x_low, Tensor dy_high, Tensor dy_low, SymInt[2] size, "
      "SymInt[2] kernel_size, int stride, bool allow_tf32, bool channels_last=False, "
      "str family=\"\", bool bias=True, bool float32=False) -> (Tensor, Tensor)");
  m.def(
      "composed_weight_grad(Tensor? x_high, Tensor? x_low, Tensor dy_high, Tensor dy_low, "
      "SymInt[2] size, SymInt[2] kernel_size, int stride, bool allow_tf32, "
      "bool channels_last=False, str? family=None, bool bias=True, bool float32=False) -> (Tensor, "
      "Tensor)");
  m.def(
      "explain_forward(Tensor? x_high, Tensor? x_low, Tensor weight, SymInt high_out, "
      "SymInt[2] size, int stride, bool allow_tf32, str family=\"\") -> str");
  m.def(
      "explain_input_grad(Tensor dy_high, Tensor dy_low, Tensor weight, SymInt high_in, "
      "SymInt[2] size, int stride, bool allow_tf32, str family=\"\") -> str");
  m.def(
      "explain_weight_grad(Tensor? x_high, Tensor? x_low, Tensor dy_high, Tensor dy_low, "
      "SymInt[2] size, SymInt[2] kernel_size, int stride, bool allow_tf32, str family=\"\") -> "
      "str");
  m.def("pool2x2(Tensor high, Tensor? low, bool mean) -> Tensor");
  m.def("composed_pool2x2(Tensor high, Tensor? low, bool mean) -> Tensor");
  m.def("upsample2x2_(Tensor(a!) out, Tensor low, bool accumulate, bool mean) -> ()");
  m.def("build_info() -> str");
  m.def("why_no_kernels(int device) -> str");
  m.def("allow_onednn(bool allowed) -> ()");
  m.def("plan_forward(int[] numbers, str dtype, str device) -> str");
  m.def("plan_forward_sm90(int[] numbers, str dtype, str device, str trials=\"\") -> str");
  m.def("trial_names() -> str");
  m.def("plan_weight_grad(int[] numbers, str dtype, str device) -> str");
  m.def("plan_weight_grad_sm90(int[] numbers, str dtype, str device) -> str");
}

namespace octconv {

const char* built_archs() { return OCTCONV_CUDA_ARCHS; }

}  // namespace octconv

namespace {

// What this library was built of, with and for, as JSON. nvcc is null where there are no kernels.
std::string build_info() {
  const std::string nvcc = OCTCONV_CUDA_NVCC;
  return R"({"sources": ")" OCTCONV_CUDA_SOURCES R"(", "torch": ")" OCTCONV_CUDA_TORCH
         R"(", "nvcc": )" +
         (nvcc.empty() ? "null" : "\"" + nvcc + "\"") +
         R"(, "archs": ")" OCTCONV_CUDA_ARCHS R"("})";
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(octconv_cuda, CompositeExplicitAutograd, m) {
  m.impl("build_info", TORCH_BOX(&build_info));
}
