"""A call of the public function: checked, and told apart by who serves it.

The checks read the metadata of tensors only. What has passed them is remembered, and passes again
at the cost of a look-up: they were most of what a layer does in Python.
"""

import marshal
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .maps import Maps, as_parts, channel_pair, check_split
from .operands import out_size
from .ops import native_kernels
from .problem import (
    KERNEL_FAMILIES,
    Geometry,
    Metadata,
    Pair,
    channels,
    check_family,
    check_kernel,
    check_maps,
    check_size,
    check_weight,
    is_pair,
)

__all__ = [
    "Call",
    "allow_tf32",
    "autocast",
    "convolutions_allow_tf32",
    "insist",
    "prepare",
    "transform",
    "uncovered",
]


class _Checked(NamedTuple):
    """What is the same in all calls whose arguments and metadata are."""

    has_high: bool
    has_low: bool
    out_channels: Pair
    size: Pair
    geometry: Geometry
    uncovered: str


class Call(NamedTuple):
    """A checked call, in autocast's dtype; an absent part is None."""

    x_high: Tensor | None
    x_low: Tensor | None
    weight: Tensor
    bias: Tensor | None
    checked: _Checked
    family: str


def prepare(
    operator: str,
    input: Maps,
    weight: Tensor,
    bias: Tensor | None,
    *arguments: Any,
) -> Call:
    """Checks the arguments of ``oct_conv2d``.

    Args:
        operator: For the text of errors.
        input: As for ``oct_conv2d``, like all that follows.
        weight: Its weight.
        bias: Its bias.
        arguments: A layer's in_split or None; then the others of ``oct_conv2d`` in its order:
            out_channels, stride, padding, dilation, groups, padding_mode, size, family.

    Raises:
        ValueError, TypeError: As ``oct_conv2d``.
    """
    x_high, x_low = as_parts(operator, input)
    if not isinstance(weight, Tensor):
        raise TypeError(f"{operator}: weight must be a tensor, got {type(weight).__name__}")
    x_high, x_low, weight, bias = autocast(weight.device.type, x_high, x_low, weight, bias)
    metadata = (
        _metadata(operator, "x_high", x_high),
        _metadata(operator, "x_low", x_low),
        _metadata(operator, "weight", weight),
        _metadata(operator, "bias", bias),
    )
    checked = _checked(operator, metadata, arguments)
    x_high, x_low = x_high if checked.has_high else None, x_low if checked.has_low else None
    family = arguments[-1]
    call = Call(x_high, x_low, weight, bias, checked, family or "")
    if family in KERNEL_FAMILIES:
        insist(operator, family, weight.device, uncovered(call))
    return call


def insist(operator: str, family: str, device: torch.device, reason: str) -> None:
    """Raises ValueError where no kernel of this library's can serve a call that names a family.

    ``reason`` is why the operators do not cover it; empty if they do.
    """
    computes = device.type != "meta"  # there only shapes are asked for
    if not reason and computes and "explain_forward" not in native_kernels(device.type):
        reason = f"no kernel for the device {device}"
    if reason:
        raise ValueError(f"{operator}: family={family!r} must serve the call, but got {reason}")


def uncovered(call: Call) -> str:
    """Why the operators do not cover a call; empty if they do."""
    if call.checked.uncovered:
        return call.checked.uncovered
    return transform()


def transform() -> str:
    """Which transform is active that needs PyTorch's own operators; empty if none."""
    if torch._C._are_functorch_transforms_active():
        return "inside a torch.func transform, which needs PyTorch's own operators"
    if torch.autograd.forward_ad._current_level >= 0:
        return "forward-mode differentiation, which needs PyTorch's own operators"
    return ""


def allow_tf32(weight: Tensor) -> bool:
    """What the operators take as ``allow_tf32`` for a weight."""
    return weight.is_cuda and weight.dtype == torch.float32 and convolutions_allow_tf32()


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def convolutions_allow_tf32() -> bool:
    """PyTorch's setting for float32 convolutions on CUDA; a constant to the compiler."""
    precision: str = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    return precision == "tf32"


def autocast(device_type: str, *tensors: Any) -> Any:
    """The tensors in autocast's dtype where it is on; float64 stays, as in PyTorch's own rule."""
    # The meta device has none, and asking whether a device has it stops torch 2.11's compiler.
    if device_type == "meta" or not torch.is_autocast_enabled(device_type):
        return tensors
    dtype = torch.get_autocast_dtype(device_type)
    return [
        t.to(dtype)
        if isinstance(t, Tensor)
        and t.layout == torch.strided
        and t.is_floating_point()
        and t.dtype != torch.float64
        else t
        for t in tensors
    ]


_passed: dict[tuple[Any, ...], _Checked] = {}
_MOST_PASSED = 4096
_PLAIN = {type(None), int, str, tuple, list}


def _checked(operator: str, metadata: Sequence[Any], arguments: tuple[Any, ...]) -> _Checked:
    if torch.compiler.is_compiling():
        return _check(operator, *metadata, *arguments)
    try:
        # In bytes, unlike by equality, 1, 1.0 and True differ.
        key = (operator, *metadata, marshal.dumps(arguments, 2))
        passed = _passed.get(key)
    except (TypeError, ValueError):  # symbolic sizes have no hash, other objects no bytes
        return _check(operator, *metadata, *arguments)
    if passed is None:
        passed = _check(operator, *metadata, *arguments)
        if not _PLAIN.issuperset(map(type, arguments)):  # numpy's strings are bytes like bytes
            return passed
        if len(_passed) >= _MOST_PASSED:  # shapes that change without end
            _passed.clear()
        _passed[key] = passed
    return passed


def _metadata(operator: str, name: str, tensor: Tensor | None) -> tuple[Any, ...] | None:
    if tensor is None:
        return None
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{operator}: {name} must be a tensor or None, got {type(tensor).__name__}")
    if tensor.is_nested:  # it may have no shape to ask for
        raise TypeError(f"{operator}: {name} must be a dense tensor, got a nested one")
    return tensor.shape, tensor.dtype, tensor.device, tensor.layout


def _check(
    operator: str,
    x_high: tuple[Any, ...] | None,
    x_low: tuple[Any, ...] | None,
    weight: tuple[Any, ...],
    bias: tuple[Any, ...] | None,
    in_split: Pair | None,
    out_channels: Pair,
    stride: int | Pair,
    padding: str | int | Pair,
    dilation: int | Pair,
    groups: int,
    padding_mode: str,
    size: Pair | None,
    family: str | None,
) -> _Checked:
    """All checks of a call."""
    high, low = (None if part is None else Metadata(*part) for part in (x_high, x_low))
    if in_split is not None:
        check_split(operator, (high, low), in_split)
    w = Metadata(*weight)
    geometry = Geometry.of(
        operator, check_kernel(operator, w), stride, padding, dilation, groups, padding_mode
    )
    if not is_pair(out_channels):
        raise TypeError(
            f"{operator}: out_channels must be a (high, low) pair of ints, got {out_channels!r}"
        )
    if size is not None:
        check_size(operator, size)
    out_channels = channel_pair(operator, "out_channels", out_channels, None)
    size = check_maps(operator, high, low, size)
    in_channels = channels(high, low)
    if in_channels == (0, 0):
        raise ValueError(f"{operator}: input must have at least one channel, got none")
    x = high if in_channels[0] else low
    assert x is not None
    b = None if bias is None else Metadata(*bias)
    check_weight(operator, w, b, in_channels, out_channels, geometry.groups, x)
    geometry.check_padding(operator, in_channels, out_channels, out_size(size, geometry.stride))
    check_family(operator, family)
    has_high, has_low = in_channels[0] > 0, in_channels[1] > 0
    reason = geometry.uncovered(in_channels, out_channels)
    return _Checked(has_high, has_low, out_channels, size, geometry, reason)
