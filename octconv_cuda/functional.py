"""The public function: checks, autocast, and the choice of the path that serves a call."""

import json
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import autograd, reference
from .maps import Maps, OctaveMaps, as_parts, channel_pair
from .operands import channels, out_size
from .ops import native_kernels
from .problem import (
    KERNEL_FAMILIES,
    Geometry,
    Pair,
    check_family,
    check_kernel,
    check_maps,
    check_size,
    check_weight,
)

__all__ = ["Explanation", "autocast", "convolutions_allow_tf32", "explain", "oct_conv2d"]


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
        ValueError: Sizes, channels, devices or arguments that do not fit; a family that does not
            cover the call.
        TypeError: Wrong types, dtypes that are not supported or differ.
            Both before any work; the text names operator, expectation and value.
    """
    call = _prepare(
        "oct_conv2d", input, weight, bias, out_channels=out_channels, stride=stride,
        padding=padding, dilation=dilation, groups=groups, padding_mode=padding_mode, size=size,
        family=family,
    )  # fmt: skip
    high, low = _compose(call) if _uncovered(call) else _operate(call)
    if not call.out_channels[1] and high is not None:
        return high
    return OctaveMaps(high if call.out_channels[0] else None, low)


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
        ValueError, TypeError: As ``oct_conv2d``.
    """
    call = _prepare(
        "explain", input, weight, bias, out_channels=out_channels, stride=stride,
        padding=padding, dilation=dilation, groups=groups, padding_mode=padding_mode, size=size,
        family=family,
    )  # fmt: skip
    reason = _uncovered(call)
    if reason:
        return Explanation("composition", "PyTorch's operators", reason)
    device = call.weight.device.type
    kernel, reason = "three of PyTorch's convolutions", "octconv_cuda::forward covers it"
    if "explain_forward" in native_kernels(device):
        arguments = (*call[:3], call.out_channels[0], call.size, call.geometry.stride)
        flags = (_allow_tf32(call), call.family)
        text = torch.ops.octconv_cuda.explain_forward(*arguments, *flags)
        choice = json.loads(text)
        kernel, reason = choice["kernel"] or kernel, choice["reason"] or reason
    elif "forward" in native_kernels(device):
        kernel = f"native on {device}"
    return Explanation("operator", kernel, reason)


class _Call(NamedTuple):
    """A checked call, in autocast's dtype; an absent part is None."""

    x_high: Tensor | None
    x_low: Tensor | None
    weight: Tensor
    bias: Tensor | None
    out_channels: Pair
    size: Pair
    geometry: Geometry
    family: str


def _prepare(
    operator: str,
    input: Maps,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    out_channels: Pair,
    size: Pair | None = None,
    family: str | None = None,
    **geometry: Any,
) -> _Call:
    x_high, x_low = as_parts(operator, input)
    shape = Geometry.of(operator, check_kernel(operator, weight), **geometry)
    if not isinstance(out_channels, tuple | list):
        raise TypeError(
            f"{operator}: out_channels must be a (high, low) pair of ints, got {out_channels!r}"
        )
    if size is not None:
        check_size(operator, size)
    out_channels = channel_pair(operator, "out_channels", out_channels, None)
    x_high, x_low, weight, bias = autocast(weight.device.type, x_high, x_low, weight, bias)
    size = check_maps(operator, x_high, x_low, size)
    x_high = x_high if x_high is not None and x_high.shape[1] else None
    x_low = x_low if x_low is not None and x_low.shape[1] else None
    x = x_low if x_high is None else x_high
    if x is None:
        raise ValueError(f"{operator}: input must have at least one channel, got none")
    in_channels = channels(x_high, x_low)
    check_weight(operator, weight, bias, in_channels, out_channels, shape.groups, x)
    shape.check_padding(operator, in_channels, out_channels, out_size(size, shape.stride))
    check_family(operator, family)
    call = _Call(x_high, x_low, weight, bias, out_channels, size, shape, family or "")
    if family in KERNEL_FAMILIES:
        reason = _uncovered(call)
        if not reason and "explain_forward" not in native_kernels(weight.device.type):
            reason = f"no kernel for the device {weight.device}"
        if reason:
            raise ValueError(f"{operator}: family={family!r} must serve the call, but got {reason}")
    return call


def autocast(device_type: str, *tensors: Any) -> list[Any]:
    """The tensors in autocast's dtype where it is on; float64 stays, as in PyTorch's own rule."""
    # The meta device has none, and asking whether a device has it stops torch 2.11's compiler.
    if device_type == "meta" or not torch.is_autocast_enabled(device_type):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device_type)
    return [
        t.to(dtype)
        if isinstance(t, Tensor) and t.is_floating_point() and t.dtype != torch.float64
        else t
        for t in tensors
    ]


def _uncovered(call: _Call) -> str:
    """Why the operators do not cover a call; empty if they do."""
    shape = call.geometry
    if shape.groups > 1:
        return f"groups={shape.groups}; the operators have one group"
    if shape.dilation != (1, 1):
        return f"dilation={shape.dilation}; the operators have dilation 1"
    if shape.padding_mode != "zeros":
        return f"padding_mode={shape.padding_mode!r}; the operators pad with zeros"
    if shape.stride == 1:
        if call.x_low is None and not call.out_channels[1]:
            return "no low part on either side: one plain convolution"
        if call.x_high is None and not call.out_channels[0]:
            return "no high part on either side: one plain convolution"
    if torch._C._are_functorch_transforms_active():
        return "inside a torch.func transform, which needs PyTorch's own operators"
    if torch.autograd.forward_ad._current_level >= 0:
        return "forward-mode differentiation, which needs PyTorch's own operators"
    return ""


def _compose(call: _Call) -> tuple[Tensor | None, Tensor | None]:
    x_high, x_low, weight, bias, (high_out, _), size, shape, _ = call
    return reference.oct_conv2d(
        x_high, x_low, weight, bias, high_out, stride=shape.stride, dilation=shape.dilation,
        groups=shape.groups, padding_mode=shape.padding_mode, size=size,
    )  # fmt: skip


def _operate(call: _Call) -> tuple[Tensor | None, Tensor | None]:
    high, low = autograd.forward(
        (call.x_high, call.x_low),
        call.weight,
        call.bias,
        call.out_channels[0],
        call.size,
        call.geometry.stride,
        _allow_tf32(call),
        call.family,
    )
    return high, low if call.out_channels[1] else None


def _allow_tf32(call: _Call) -> bool:
    weight = call.weight
    return weight.is_cuda and weight.dtype == torch.float32 and convolutions_allow_tf32()


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def convolutions_allow_tf32() -> bool:
    """PyTorch's setting for float32 convolutions on CUDA; a constant to the compiler."""
    precision: str = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    return precision == "tf32"
