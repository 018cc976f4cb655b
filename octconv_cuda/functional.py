"""The public function, and the choice of the path that serves a call."""

import json
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import autograd, reference
from .call import Call, allow_tf32, prepare, uncovered
from .maps import Maps, OctaveMaps
from .ops import native_kernels
from .problem import Pair, Parts

__all__ = [
    "Explanation",
    "explain",
    "explanation",
    "oct_conv2d",
    "run",
]


def oct_conv2d(
    input: Maps,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    out_channels: Pair,
    stride: int | Pair = 1,
    padding: str | int | Pair = "same",
    dilation: int | Pair = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    size: Pair | None = None,
    family: str | None = None,
) -> Tensor | OctaveMaps:
    """Octave Convolution of a (high, low) pair (Chen et al. 2019, equations 2 to 4).

    Args:
        input: (high, low) with high (N, C_high, H, W) and low (N, C_low, ceil(H/2), ceil(W/2)),
            either of which may be None; a tensor is a high part alone. float32, float64, bfloat16
            or float16, any strides. A part without channels counts as None.
        weight: (C_out, C_in / groups, k_h, k_w), k odd, as for ``torch.nn.functional.conv2d``;
            rows [high | low] outputs, columns [high | low] inputs.
        bias: (C_out) or None.
        out_channels: (C_high_out, C_low_out), adding up to C_out; see ``split_channels``.
        stride: 1, or 2: pool, then convolve at stride 1, as the authors do.
        padding: "same", or the same in numbers, dilation * (k - 1) / 2: anything else would break
            the 2:1 ratio of the parts.
        dilation: Of the kernel.
        groups: Groups of each of the four paths. groups = C_in > 1 is depthwise: one convolution
            for each part, without exchange.
        padding_mode: "zeros", "reflect", "replicate" or "circular", in each path's own pixels.
        size: (H, W) of the high input grid; needed only where high is None and H or W is odd.
        family: The kernels that must serve the call, on a GPU: "sm80", this library's portable
            ones, "sm90", those for Hopper (the weight gradient, where they cover it), or "none",
            PyTorch's own convolutions. None: the environment variable OCTCONV_CUDA_FAMILY, which
            says the same for all calls that its family covers, else the library's choice.

    Returns:
        OctaveMaps with high (N, C_high_out, H', W') and low (N, C_low_out, ceil(H'/2), ceil(W'/2)),
        H' = ceil(H / stride); None for a part without channels. A bare tensor if C_low_out is 0.
        The dtype is the input's, or autocast's.

    Raises:
        ValueError: Sizes, channels, devices or arguments that do not fit; a family for a device
            without kernels, or for a call that PyTorch's own operators serve.
        TypeError: Wrong types, dtypes that are not supported or differ.
        RuntimeError: A family whose kernels do not cover the call: on a GPU the operators refuse
            for themselves, those of the backward pass when it runs.
            All before any work; the text names operator, expectation and value.
    """
    call = prepare(
        "oct_conv2d", input, weight, bias, None,
        out_channels, stride, padding, dilation, groups, padding_mode, size, family,
    )  # fmt: skip
    return run(call)


class Explanation(NamedTuple):
    """Which path a call takes and why.

    Attributes:
        path: "operator" (octconv_cuda::forward and its gradients) or "composition" (PyTorch's own
            operators, as in ``octconv_cuda.reference``).
        kernel: What computes it on this device.
        reason: Why so.
    """

    path: str
    kernel: str
    reason: str

    def __str__(self) -> str:
        """One line to print."""
        return f"{self.path}: {self.kernel} ({self.reason})"


def explain(
    input: Maps,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    out_channels: Pair,
    stride: int | Pair = 1,
    padding: str | int | Pair = "same",
    dilation: int | Pair = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    size: Pair | None = None,
    family: str | None = None,
) -> Explanation:
    """Which path ``oct_conv2d`` takes for the same arguments, and why; no convolution runs.

    Raises:
        ValueError, TypeError, RuntimeError: As ``oct_conv2d``.
    """
    call = prepare(
        "explain", input, weight, bias, None,
        out_channels, stride, padding, dilation, groups, padding_mode, size, family,
    )  # fmt: skip
    return explanation(call)


def run(call: Call) -> Tensor | OctaveMaps:
    """The result of ``oct_conv2d``."""
    high_out, low_out = call.checked.out_channels
    high, low = _compose(call) if uncovered(call) else _operate(call)
    if not low_out and high is not None:
        return high
    return OctaveMaps(high if high_out else None, low if low_out else None)


def explanation(call: Call) -> Explanation:
    """The result of ``explain``."""
    reason = uncovered(call)
    if reason:
        return Explanation("composition", "PyTorch's operators", reason)
    device = call.weight.device.type
    kernel, reason = "PyTorch's convolutions", "octconv_cuda::forward covers it"
    if "explain_forward" in native_kernels(device):
        x_high, x_low, weight, _, *rest = _arguments(call)
        text = torch.ops.octconv_cuda.explain_forward(x_high, x_low, weight, *rest)
        choice = json.loads(text)
        kernel, reason = choice["kernel"] or kernel, choice["reason"] or reason
    elif "forward" in native_kernels(device):
        kernel = f"native on {device}"
    return Explanation("operator", kernel, reason)


def _compose(call: Call) -> Parts:
    x_high, x_low, weight, bias, checked, _ = call
    shape = checked.geometry
    return reference.oct_conv2d(
        x_high, x_low, weight, bias, checked.out_channels[0], stride=shape.stride,
        dilation=shape.dilation, groups=shape.groups, padding_mode=shape.padding_mode,
        size=checked.size,
    )  # fmt: skip


def _operate(call: Call) -> tuple[Tensor, Tensor]:
    x_high, x_low, weight, bias, *rest = _arguments(call)
    if torch.compiler.is_exporting():
        high_out, size, stride, _, family = rest
        arguments = (x_high, x_low, weight, bias, high_out, size, stride, family)
        parts: tuple[Tensor, Tensor] = torch.ops.octconv_cuda.oct_conv2d(*arguments)
        return parts
    return autograd.forward((x_high, x_low), weight, bias, *rest)


def _arguments(call: Call) -> tuple[Any, ...]:
    """Those of the operator ``forward``."""
    x_high, x_low, weight, bias, checked, family = call
    shape = (checked.out_channels[0], checked.size, checked.geometry.stride)
    return x_high, x_low, weight, bias, *shape, allow_tf32(weight), family
