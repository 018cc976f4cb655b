"""What a fused convolution takes, and its batch norm as a factor and a sum for each channel."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from .activations import ACTIVATIONS
from .maps import OctaveBatchNorm2d
from .modules import OctConv2d
from .problem import DTYPES, Geometry, Pair

__all__ = ["geometry_of", "is_altered", "refusal", "scale_and_shift", "scaled", "splits"]

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)  # in evaluation mode the same


def refusal(
    conv: nn.Module, norm: nn.Module | None, activation: str | None
) -> TypeError | ValueError | None:
    """Why ``FusedConv2d`` does not take these layers; None if it does.

    It raises this, and ``fuse`` leaves such layers as they are.
    """
    if type(conv) not in (nn.Conv2d, OctConv2d):  # a subclass may compute anything
        return _wrong_type("conv", "an nn.Conv2d or an OctConv2d itself", conv)
    assert isinstance(conv, nn.Conv2d)
    if is_altered(conv):
        return _altered("conv")
    if conv.padding_mode != "zeros":
        return ValueError(
            f"FusedConv2d: padding_mode of conv must be 'zeros', got {conv.padding_mode!r}"
        )
    if isinstance(conv.padding, str):
        return ValueError(f"FusedConv2d: padding of conv must be in numbers, got {conv.padding!r}")
    try:
        geometry_of(conv)
    except (TypeError, ValueError) as error:
        return error
    channels = (conv.out_channels, conv.in_channels // conv.groups)
    if conv.weight.shape[:2] != channels:
        return ValueError(
            f"FusedConv2d: the weight of conv must have {channels} channels as it says, "
            f"got {tuple(conv.weight.shape[:2])}"
        )
    if conv.weight.dtype not in DTYPES:
        return TypeError(
            "FusedConv2d: conv must be float32, float64, bfloat16 or float16, "
            f"got {conv.weight.dtype}"
        )
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        return ValueError(
            f"FusedConv2d: activation must be one of {tuple(ACTIVATIONS)}, got {activation!r}"
        )
    return None if norm is None else _refusal_of_norm(norm, splits(conv)[1])


def _refusal_of_norm(norm: nn.Module, split: Pair) -> TypeError | ValueError | None:
    expected = "an nn.BatchNorm2d, nn.SyncBatchNorm or OctaveBatchNorm2d itself"
    if not isinstance(norm, nn.Module):
        return _wrong_type("norm", expected, norm)
    if is_altered(norm):
        return _altered("norm")
    own: object = norm.split if isinstance(norm, OctaveBatchNorm2d) else split
    if own != split or (type(norm) in _NORMS and split[1]):
        got = own if own != split else f"an nn.{type(norm).__name__}"
        return ValueError(
            f"FusedConv2d: norm must have the (high, low) channels of conv, {split}, got {got}"
        )
    for part, channels in _norms(norm, split):
        if type(part) not in (nn.Identity, *_NORMS):
            return _wrong_type("norm", expected, part)
        if is_altered(part):
            return _altered("norm")
        if not isinstance(part, _NORMS):
            continue
        if part.num_features != channels:
            return ValueError(
                f"FusedConv2d: norm must have {channels} channels like conv, "
                f"got {part.num_features}"
            )
        if part.running_mean is None or part.running_var is None:
            return ValueError("FusedConv2d: norm must have running statistics, got one without")
    return None


def is_altered(module: nn.Module) -> bool:
    """Whether more than its class decides what it computes: hooks, or methods of its own."""
    own_methods = (name for name in vars(module) if callable(getattr(type(module), name, None)))
    return bool(module._forward_hooks or module._forward_pre_hooks or any(own_methods))


def _wrong_type(name: str, expected: str, module: object) -> TypeError:
    return TypeError(f"FusedConv2d: {name} must be {expected}, got {type(module).__name__}")


def _altered(name: str) -> ValueError:
    return ValueError(
        f"FusedConv2d: {name} must compute what its class does, got one with forward hooks or a "
        "method of its own"
    )


def splits(conv: nn.Conv2d) -> tuple[Pair, Pair]:
    """The (high, low) channels that come in, and those that go out."""
    if isinstance(conv, OctConv2d):
        return conv.in_split, conv.out_split
    return (conv.in_channels, 0), (conv.out_channels, 0)


def geometry_of(conv: nn.Conv2d) -> dict[str, Any]:
    """What ``F.conv2d`` takes beside tensors, in pairs; a layer may have been given numbers since.

    Raises:
        TypeError, ValueError: Of an octave convolution, what ``oct_conv2d`` does not take.
    """
    axes = (conv.stride, conv.padding, conv.dilation)
    if isinstance(conv, OctConv2d):
        kernel = tuple(conv.weight.shape[2:])
        checked = Geometry.of("FusedConv2d", kernel, *axes, conv.groups)
        axes = (2 * (checked.stride,), checked.padding, checked.dilation)
    pairs = dict(zip(("stride", "padding", "dilation"), map(_pair, axes), strict=True))
    return {**pairs, "groups": conv.groups}


def _norms(norm: nn.Module, split: Pair) -> list[tuple[nn.Module, int]]:
    """What normalises how many channels, in their order; nn.Identity leaves them alone."""
    if type(norm) is OctaveBatchNorm2d:
        low = norm.high if norm.low is None else norm.low
        return [(norm.high, split[0]), (low, split[1])]
    return [(norm, sum(split))]


def scale_and_shift(conv: nn.Conv2d, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Of norm(conv) = scale * (conv without bias) + shift, in float64."""
    scale = torch.ones(conv.out_channels, device=conv.weight.device, dtype=torch.float64)
    shift = torch.zeros_like(scale)
    start = 0
    for part, channels in _norms(norm or nn.Identity(), splits(conv)[1]):
        own = slice(start, start := start + channels)
        if not isinstance(part, _NORMS):
            continue
        assert part.running_mean is not None
        assert part.running_var is not None
        scale[own] = (part.running_var.double() + part.eps).rsqrt()
        if part.weight is not None:
            scale[own] *= part.weight.detach().double()
        if part.bias is not None:
            shift[own] = part.bias.detach().double()
        shift[own] -= part.running_mean.double() * scale[own]
    if conv.bias is not None:
        shift += conv.bias.detach().double() * scale
    return scale, shift


def scaled(weight: Tensor, scale: Tensor) -> Tensor:
    """The weight with the scale; each tap of a filter makes up for the rounding of those before.

    A smooth map meets the sum of a filter's errors: in the first layer, which sees a bright image,
    it would be the largest error of a 16-bit network.
    """
    exact = weight * scale[:, None, None, None]
    result, owed = torch.empty_like(weight), torch.zeros_like(exact[:, :, 0, 0])
    for i, j in itertools.product(*map(range, weight.shape[2:])):
        owed = owed + exact[:, :, i, j]
        result[:, :, i, j] = owed
        owed = owed - result[:, :, i, j]
    return result
