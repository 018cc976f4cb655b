"""What one call of the operator is, and the checks that every call passes before any work."""

from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

__all__ = [
    "DTYPES",
    "KERNEL_FAMILIES",
    "TENSOR_TYPES",
    "Geometry",
    "Metadata",
    "Pair",
    "Parts",
    "TensorLike",
    "channels",
    "check_alpha",
    "check_channels",
    "check_count",
    "check_dense",
    "check_family",
    "check_kernel",
    "check_maps",
    "check_network",
    "check_odd",
    "check_part",
    "check_same",
    "check_size",
    "check_weight",
    "is_depthwise",
    "is_int",
    "is_pair",
    "low_size",
    "present",
]

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_INTS = (int, torch.SymInt)
KERNEL_FAMILIES = ("sm80", "sm90")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")

Pair = tuple[int, int]
Parts = tuple[Tensor | None, Tensor | None]  # high and low


class Metadata(NamedTuple):
    """What checks read of a tensor. Unlike one it is equal to its like, and has their hash."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    layout: torch.layout


TensorLike = Tensor | Metadata
TENSOR_TYPES = (Tensor, Metadata)  # torch 2.10's compiler knows no unions in isinstance


class Geometry(NamedTuple):
    """The arguments of a convolution that do not depend on its tensors, checked and in one form."""

    kernel_size: Pair
    stride: int
    padding: Pair
    dilation: Pair
    groups: int
    padding_mode: str

    @classmethod
    def of(
        cls,
        operator: str,
        kernel_size: object,
        stride: object = 1,
        padding: object = "same",
        dilation: object = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
    ) -> "Geometry":
        """Checks ``nn.Conv2d``'s arguments; each may be an int or a pair.

        Raises:
            TypeError: An argument is neither an int nor a pair of ints; groups that are no int, a
                padding_mode that is no string.
            ValueError: What would break the 2:1 ratio of the parts, or is out of range.
        """
        kernel = _pair(operator, "kernel_size", kernel_size)
        strides = _pair(operator, "stride", stride)
        dilations = _pair(operator, "dilation", dilation)
        check_odd(operator, kernel)
        if strides not in ((1, 1), (2, 2)):
            raise ValueError(f"{operator}: stride must be 1 or 2, got {stride}")
        if min(dilations) < 1:
            raise ValueError(f"{operator}: dilation must be at least 1, got {dilation}")
        same = (dilations[0] * (kernel[0] - 1) // 2, dilations[1] * (kernel[1] - 1) // 2)
        # "valid" is a word of nn.Conv2d too: a wrong value, not a wrong type.
        given = padding if isinstance(padding, str) else _pair(operator, "padding", padding)
        if given not in ("same", same):
            raise ValueError(
                f"{operator}: padding must be 'same' = dilation * (kernel_size - 1) / 2 = {same}, "
                f"or the parts would not keep their 2:1 ratio, got {padding!r}"
            )
        check_count(operator, "groups", groups)
        if not isinstance(padding_mode, str) or padding_mode not in PADDING_MODES:
            error = ValueError if isinstance(padding_mode, str) else TypeError
            raise error(
                f"{operator}: padding_mode must be one of {PADDING_MODES}, got {padding_mode!r}"
            )
        return cls(kernel, strides[0], same, dilations, groups, padding_mode)

    def check_padding(
        self, operator: str, channels_in: Pair, channels_out: Pair, size: Pair
    ) -> None:
        """Raises ValueError if a part is too small to be padded from its own pixels.

        ``size`` is (H, W) of the high output, the grid on which the first convolution runs.
        """
        if self.padding_mode not in ("reflect", "circular"):
            return
        if channels_out[1] or (channels_in[1] and self.stride == 1):
            size = low_size(size)
        most = [extent - (self.padding_mode == "reflect") for extent in size]
        if self.padding[0] > most[0] or self.padding[1] > most[1]:
            raise ValueError(
                f"{operator}: padding_mode={self.padding_mode!r} pads {self.padding} pixels, which "
                f"must be at most {tuple(most)} for a part of {size} pixels"
            )

    def uncovered(self, channels_in: Pair, channels_out: Pair) -> str:
        """Why the operators do not cover a call; empty if they do."""
        if self.groups > 1:
            return f"groups={self.groups}; the operators have one group"
        if self.dilation != (1, 1):
            return f"dilation={self.dilation}; the operators have dilation 1"
        if self.padding_mode != "zeros":
            return f"padding_mode={self.padding_mode!r}; the operators pad with zeros"
        for name, of_in, of_out in zip(("high", "low"), channels_in, channels_out, strict=True):
            if self.stride == 1 and of_in == of_out == 0:
                return f"no {name} part on either side: one plain convolution"
        return ""


def is_int(value: object) -> TypeGuard[int]:
    """Whether a value counts something: True and False do not, a traced size does."""
    return isinstance(value, _INTS) and not isinstance(value, bool)


def is_pair(value: object) -> TypeGuard[tuple[int, int] | list[int]]:
    """Whether a value is two ints."""
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_int, value))


def _pair(operator: str, name: str, value: object) -> Pair:
    if type(value) is tuple and len(value) == 2 and type(value[0]) is int and type(value[1]) is int:
        return value  # nearly always, and this runs in every call of a layer
    if is_int(value):
        return (value, value)
    if is_pair(value):
        return (value[0], value[1])
    expected = "'same', an int" if name == "padding" else "an int"
    raise TypeError(f"{operator}: {name} must be {expected} or a pair of ints, got {value!r}")


def check_count(operator: str, name: str, count: object, least: int = 1) -> None:
    """Raises unless a count is an int (TypeError) of at least ``least`` (ValueError)."""
    if not is_int(count):
        raise TypeError(f"{operator}: {name} must be an int, got {count!r}")
    if count < least:
        raise ValueError(f"{operator}: {name} must be at least {least}, got {count}")


def check_alpha(operator: str, alpha: float) -> None:
    """Raises unless a share of low channels is a number (TypeError) in [0, 1] (ValueError)."""
    if not isinstance(alpha, Real):
        raise TypeError(f"{operator}: alpha must be a number, got {alpha!r}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"{operator}: alpha must be in [0, 1], got {alpha}")


def check_network(operator: str, network: object) -> None:
    """Raises TypeError unless it is a module."""
    if not isinstance(network, nn.Module):
        raise TypeError(f"{operator}: network must be a module, got {type(network).__name__}")


def check_size(operator: str, size: object) -> None:
    """Raises TypeError unless ``size`` is (H, W)."""
    if not is_pair(size):
        raise TypeError(f"{operator}: size must be (H, W), a pair of ints, got {size!r}")


def low_size(size: Pair) -> Pair:
    """(H, W) of the part one octave below: both halved and rounded up."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def channels(high: TensorLike | None, low: TensorLike | None) -> Pair:
    """(C_high, C_low) of a pair; an absent part has none."""
    return (0 if high is None else high.shape[1], 0 if low is None else low.shape[1])


def is_depthwise(channels_in: Pair, groups: int) -> bool:
    """Whether every input channel is a group of its own: then the parts do not exchange."""
    return groups > 1 and groups == channels_in[0] + channels_in[1]


def check_channels(operator: str, channels_in: Pair, channels_out: Pair, groups: int) -> None:
    """Raises ValueError unless every path is a convolution with ``groups`` groups."""
    if is_depthwise(channels_in, groups):
        multiplier, rest = divmod(sum(channels_out), groups)
        if rest or channels_out != (multiplier * channels_in[0], multiplier * channels_in[1]):
            raise ValueError(
                f"{operator}: a depthwise convolution (groups={groups} = input channels) needs the "
                f"same whole number of outputs per input in both parts, got {channels_in} "
                f"(high, low) inputs and {channels_out} outputs"
            )
    elif groups > 1 and any(part % groups for part in (*channels_in, *channels_out)):
        raise ValueError(
            f"{operator}: groups={groups} must divide the high and the low channels, "
            f"got {channels_in} (high, low) inputs and {channels_out} outputs"
        )


def check_part(operator: str, name: str, part: TensorLike) -> None:
    """Raises unless a part is a dense 4-d tensor (ValueError: of other dimensions) of our dtypes.

    Parts that belong together are for ``check_maps``.
    """
    if not isinstance(part, TENSOR_TYPES):
        raise TypeError(f"{operator}: {name} must be a tensor or None, got {type(part).__name__}")
    check_dense(operator, name, part)
    if len(part.shape) != 4:
        raise ValueError(f"{operator}: {name} must be (N, C, H, W), got {_shape(part)}")
    if part.dtype not in DTYPES:
        raise TypeError(
            f"{operator}: {name} must be float32, float64, bfloat16 or float16, got {part.dtype}"
        )


def check_maps(
    operator: str,
    high: TensorLike | None,
    low: TensorLike | None,
    size: Pair | None = None,
    *,
    names: tuple[str, str] = ("x_high", "x_low"),
) -> Pair:
    """Checks a (high, low) pair and returns (H, W) of its high part.

    Args:
        operator: For the text of errors, as are ``names``.
        high: (N, C_high, H, W) or None.
        low: (N, C_low, ceil(H/2), ceil(W/2)) or None.
        size: (H, W) if it is given; needed where high is None and H or W is odd.
        names: Of the two parts.

    Raises:
        TypeError: Not a dense tensor, or a dtype that is not supported or not that of both parts.
        ValueError: Shapes, sizes or devices that do not belong together.
    """
    for part, name in zip((high, low), names, strict=True):
        if part is not None:
            check_part(operator, name, part)
    high_name, low_name = names
    given = low if high is None else high
    if given is None:
        raise ValueError(
            f"{operator}: one of {high_name} and {low_name} must be given, got neither"
        )
    if size is None:
        scale = 1 if high is not None else 2
        size = (scale * given.shape[2], scale * given.shape[3])
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(
            f"{operator}: the maps must have a positive height and width, got {(height, width)}"
        )
    if high is not None and (high.shape[2] != height or high.shape[3] != width):
        raise ValueError(
            f"{operator}: {high_name} must be (N, C, {height}, {width}) to match size "
            f"{(height, width)}, got {_shape(high)}"
        )
    if low is not None:
        h, w = low_size((height, width))
        batch = low.shape[0] if high is None else high.shape[0]
        if low.shape[0] != batch or low.shape[2] != h or low.shape[3] != w:
            origin = f"size {(height, width)}" if high is None else f"{high_name} {_shape(high)}"
            raise ValueError(
                f"{operator}: {low_name} must be ({batch}, {low.shape[1]}, {h}, {w}) "
                f"to match {origin}, got {_shape(low)}"
            )
        if high is not None:
            check_same(operator, low_name, low, high_name, high)
    return height, width


def present(high: Tensor | None, low: Tensor | None) -> Tensor:
    """The high part or, where that is absent, the low one; a map that was checked has one."""
    part = low if high is None else high
    assert part is not None
    return part


def check_kernel(operator: str, weight: object) -> Pair:
    """(k_h, k_w) of a weight; raises unless that is a dense 4-d tensor."""
    if not isinstance(weight, TENSOR_TYPES):
        raise TypeError(f"{operator}: weight must be a tensor, got {type(weight).__name__}")
    check_dense(operator, "weight", weight)
    if len(weight.shape) != 4:
        raise ValueError(
            f"{operator}: weight must be (C_out, C_in / groups, k_h, k_w), got {_shape(weight)}"
        )
    return weight.shape[2], weight.shape[3]


def check_odd(operator: str, kernel_size: Sequence[int]) -> None:
    """Raises ValueError unless both extents of a kernel are odd."""
    if len(kernel_size) != 2 or min(kernel_size) < 1 or not all(k % 2 for k in kernel_size):
        raise ValueError(
            f"{operator}: kernel_size must be odd and positive, or the parts would not keep their "
            f"2:1 ratio, got {tuple(kernel_size)}"
        )


def check_weight(
    operator: str,
    weight: TensorLike,
    bias: TensorLike | None,
    channels_in: Pair,
    channels_out: Pair,
    groups: int,
    beside: TensorLike,
) -> None:
    """Checks a 4-d weight and a bias against the channels and against the tensor they meet.

    Raises:
        TypeError: A bias that is no dense tensor, a dtype other than that of ``beside``.
        ValueError: Wrong shapes, channel counts or devices, groups that do not divide.
    """
    check_channels(operator, channels_in, channels_out, groups)
    c_out, c_in = channels_out[0] + channels_out[1], channels_in[0] + channels_in[1]
    if c_out < 1 or c_in < 1:
        raise ValueError(
            f"{operator}: input and output must have at least one channel, got {channels_in} "
            f"(high, low) inputs and {channels_out} outputs"
        )
    if weight.shape[0] != c_out or weight.shape[1] * groups != c_in:
        raise ValueError(
            f"{operator}: weight must be ({c_out}, {c_in // groups}, k_h, k_w) for {channels_in} "
            f"(high, low) inputs and {channels_out} outputs in {groups} groups, "
            f"got {_shape(weight)}"
        )
    check_same(operator, "weight", weight, "the input", beside)
    if bias is not None:
        if not isinstance(bias, TENSOR_TYPES):
            raise TypeError(f"{operator}: bias must be a tensor or None, got {type(bias).__name__}")
        check_dense(operator, "bias", bias)
        if len(bias.shape) != 1 or bias.shape[0] != c_out:
            raise ValueError(f"{operator}: bias must be ({c_out},), got {_shape(bias)}")
        check_same(operator, "bias", bias, "the input", beside)


def check_family(operator: str, family: str | None) -> None:
    """Raises unless ``family`` is None or names what can serve a call."""
    if family is None or (isinstance(family, str) and family in ("none", *KERNEL_FAMILIES)):
        return
    error = ValueError if isinstance(family, str) else TypeError
    raise error(f"{operator}: family must be None, 'none', 'sm80' or 'sm90', got {family!r}")


def check_same(
    operator: str, name: str, tensor: TensorLike, other: str, beside: TensorLike
) -> None:
    """Raises unless dtype (TypeError) and device (ValueError) are those of ``beside``."""
    if tensor.dtype != beside.dtype:
        raise TypeError(
            f"{operator}: {name} must have the dtype of {other}, {beside.dtype}, got {tensor.dtype}"
        )
    if tensor.device != beside.device:
        raise ValueError(
            f"{operator}: {name} must be on the device of {other}, {beside.device}, "
            f"got {tensor.device}"
        )


def check_dense(operator: str, name: str, tensor: TensorLike) -> None:
    """Raises TypeError for a sparse tensor and the like."""
    if tensor.layout != torch.strided:
        raise TypeError(f"{operator}: {name} must be a dense tensor, got {tensor.layout}")


def _shape(tensor: TensorLike) -> str:
    return str(tuple(tensor.shape))
