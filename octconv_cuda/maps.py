"""Octave feature maps: a high and a low resolution part, and layers that work on the parts."""

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from . import reference
from .problem import (
    Pair,
    Parts,
    TensorLike,
    check_alpha,
    check_count,
    check_maps,
    check_part,
    is_int,
    is_pair,
)

__all__ = [
    "Maps",
    "OctaveBatchNorm2d",
    "OctaveMaps",
    "OctaveMerge",
    "OctaveSplit",
    "PerPart",
    "as_parts",
    "channel_pair",
    "check_split",
    "per_part",
    "split_channels",
]

Maps = Tensor | Parts
_FACTORS: Any = (Real, Tensor, torch.SymInt, torch.SymFloat)


class OctaveMaps(NamedTuple):
    """A feature map in two octaves (Chen et al. 2019, section 3.1).

    Attributes:
        high: (N, C_high, H, W), or None when every channel is low.
        low: (N, C_low, ceil(H/2), ceil(W/2)), or None when every channel is high.

    A map with no low part is usually a bare tensor, as everywhere in PyTorch. ``a + b`` adds part
    by part (a tuple's own ``+`` would concatenate), ``a * 2.0`` scales each part.
    """

    high: Tensor | None
    low: Tensor | None

    def __add__(self, other: object) -> "OctaveMaps":
        """Part by part.

        Raises:
            TypeError: ``other`` is no (high, low) pair of tensors.
            ValueError: The two sides have different parts.
        """
        if (
            not isinstance(other, tuple)
            or len(other) != 2
            or not all(part is None or isinstance(part, Tensor) for part in other)
        ):
            raise TypeError(
                "OctaveMaps + other: other must be a (high, low) pair of tensors, "
                f"got {type(other).__name__}"
            )
        for name, mine, theirs in zip(self._fields, self, other, strict=True):
            if (mine is None) != (theirs is None):
                raise ValueError(
                    f"OctaveMaps + other: both sides must have the same parts, but the {name} part "
                    f"is {_shape(mine)} on the left and {_shape(theirs)} on the right"
                )
        return OctaveMaps(
            None if self.high is None else self.high + other[0],
            None if self.low is None else self.low + other[1],
        )

    def __radd__(self, other: object) -> "OctaveMaps":
        """A plain (high, low) pair on the left, for addition commutes, or the 0 of ``sum``."""
        return self if type(other) is int and other == 0 else self + other

    def __mul__(self, factor: Any) -> "OctaveMaps":
        """Each part times a number or a tensor (a tuple's own ``*`` would repeat the parts).

        Raises:
            TypeError: ``factor`` is neither.
        """
        if not isinstance(factor, _FACTORS):
            raise TypeError(
                f"OctaveMaps * factor: factor must be a number, got {type(factor).__name__}"
            )
        return OctaveMaps(
            None if self.high is None else self.high * factor,
            None if self.low is None else self.low * factor,
        )

    def __rmul__(self, factor: object) -> "OctaveMaps":
        """As ``maps * factor``."""
        return self * factor


# A numpy number on the left leaves the arithmetic to the methods above.
OctaveMaps.__array_ufunc__ = None  # type: ignore[attr-defined]
# torch.export.save writes only registered types; torch has no public call for it yet.
torch.utils._pytree._register_namedtuple(
    OctaveMaps, serialized_type_name="octconv_cuda.maps.OctaveMaps"
)
# A pair is data: torch.load and torch.export.load may read it with weights_only.
torch.serialization.add_safe_globals([OctaveMaps])


def split_channels(channels: int, alpha: float) -> Pair:
    """(C_high, C_low) with C_low = int(alpha * channels), the authors' rule.

    Raises:
        ValueError: channels < 1 or alpha outside [0, 1].
        TypeError: channels is not an int, alpha not a number.
    """
    check_count("split_channels", "channels", channels)
    check_alpha("split_channels", alpha)
    low = int(alpha * channels)
    return channels - low, low


def channel_pair(operator: str, name: str, channels: int | Pair, alpha: float | None) -> Pair:
    """(C_high, C_low) from a channel count and alpha (None: 0.5), or from such a pair itself.

    Raises:
        ValueError: alpha beside a pair, alpha outside [0, 1], a negative part, no channels.
        TypeError: channels is neither an int nor a pair of ints, or alpha not a number.
    """
    if is_int(channels):
        try:
            return split_channels(channels, 0.5 if alpha is None else alpha)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{operator}: {name}: {error}") from None
    if not is_pair(channels):
        raise TypeError(
            f"{operator}: {name} must be an int or a (high, low) pair of ints, got {channels!r}"
        )
    if alpha is not None:
        raise ValueError(
            f"{operator}: {name}={tuple(channels)} is a (high, low) pair and decides the split; "
            f"alpha must then be None, got {alpha}"
        )
    if min(channels) < 0 or sum(channels) < 1:
        raise ValueError(
            f"{operator}: {name} must have no negative part and at least one channel, "
            f"got {tuple(channels)}"
        )
    return channels[0], channels[1]


def as_parts(operator: str, input: Maps, name: str = "input") -> Parts:
    """(high, low) of a tensor, which is a high part alone, or of a pair; TypeError otherwise."""
    if isinstance(input, Tensor):
        return input, None
    if isinstance(input, (tuple, list)) and len(input) == 2:
        return input[0], input[1]
    raise TypeError(
        f"{operator}: {name} must be a tensor or a (high, low) pair, got {type(input).__name__}"
    )


def check_split(
    operator: str,
    input: Tensor | tuple[TensorLike | None, TensorLike | None],
    split: Pair,
) -> None:
    """Checks that the parts of a map have the channels of a layer's split.

    A weight alone cannot tell one split of its channels from another.

    Raises:
        TypeError: Not such a map, or not of dense tensors of our dtypes.
        ValueError: Other dimensions or channels.
    """
    parts: Any = as_parts(operator, input)  # type: ignore[arg-type]
    if isinstance(parts[0], Tensor) and parts[1] is None and split[1]:
        raise ValueError(
            f"{operator}: input must be a (high, low) pair, for this layer's channels are {split} "
            f"(an alpha of 0 would take a tensor), got {_shape(parts[0])} without a low part"
        )
    for name, part, expected in zip(("high", "low"), parts, split, strict=True):
        if part is not None:
            check_part(operator, f"the {name} part of the input", part)
        channels = 0 if part is None else part.shape[1]
        if channels != expected:
            got = "it is missing" if part is None else f"got {tuple(part.shape)}"
            raise ValueError(
                f"{operator}: the {name} part of the input must have {expected} channels "
                f"(this layer's split is {split}), {got}"
            )


def per_part(function: Callable[..., Tensor], *maps: Maps) -> Tensor | OctaveMaps:
    """A function of the high parts of some maps, and then of their low ones.

    ``per_part(lambda *parts: torch.cat(parts, 1), a, b)`` concatenates, for instance.

    Args:
        function: Called with a tensor of each map.
        maps: Tensors, which are high parts alone, or (high, low) pairs; all of the same parts.

    Returns:
        A tensor if all maps are tensors, else OctaveMaps; a part that the maps lack stays absent.

    Raises:
        TypeError: No map; one that is neither a tensor nor a pair; a result that is no tensor.
        ValueError: Maps of different parts.
    """
    if not maps:
        raise TypeError("per_part: there must be at least one map, got none")
    pairs = [as_parts("per_part", pair, f"map {i}") for i, pair in enumerate(maps)]
    results = []
    for name, parts in zip(("high", "low"), zip(*pairs, strict=True), strict=True):
        present = [part for part in parts if part is not None]
        if 0 < len(present) < len(parts):
            raise ValueError(
                f"per_part: all maps must have the same parts, got {name} parts "
                f"{', '.join(map(_shape, parts))}"
            )
        result = function(*present) if present else None
        if present and not isinstance(result, Tensor):
            raise TypeError(
                f"per_part: function must give a tensor, got {type(result).__name__} for the "
                f"{name} parts"
            )
        results.append(result)
    high, low = results
    tensors = all(isinstance(pair, Tensor) for pair in maps)
    return high if tensors and high is not None else OctaveMaps(high, low)


class PerPart(nn.Module):
    """Applies a module to each part of a map: an activation, a pooling, a normalisation, ...

    Args:
        high: Applied to the high part, and to a bare tensor.
        low: Applied to the low part; None: ``high`` serves both (its parameters are then shared).

    Raises:
        TypeError: Not modules; in a call, an input that is neither a tensor nor a pair.
        ValueError: In a call, both parts of a map for one module that keeps running statistics,
            which would mix: ``OctaveBatchNorm2d`` has them for each.
    """

    def __init__(self, high: nn.Module, low: nn.Module | None = None) -> None:
        super().__init__()
        for name, module in (("high", high), ("low", low)):
            if not isinstance(module, nn.Module) and (module is not None or name == "high"):
                raise TypeError(f"PerPart: {name} must be a module, got {module!r}")
        self.high = high
        self.low = low

    def forward(self, input: Maps) -> Tensor | OctaveMaps:
        """A tensor gives a tensor, a (high, low) pair OctaveMaps; an absent part stays absent."""
        of_high, of_low = self.high, self.low
        if isinstance(input, Tensor):
            result: Tensor = of_high(input)
            return result
        high, low = as_parts("PerPart", input)
        if of_low is None or of_low is of_high:
            of_low = of_high
            if high is not None and low is not None and _keeps_statistics(of_high):
                raise ValueError(
                    "PerPart: each part must have running statistics of its own: use "
                    f"OctaveBatchNorm2d, or PerPart(high, low), got one {type(of_high).__name__} "
                    "for both"
                )
        return OctaveMaps(
            None if high is None else of_high(high), None if low is None else of_low(low)
        )


def _keeps_statistics(module: nn.Module) -> bool:
    """Whether it, or one within, has running statistics."""
    if module._buffers.get("running_mean") is not None:
        return True
    children = module._modules
    return bool(children) and any(_keeps_statistics(m) for m in children.values() if m is not None)


class OctaveBatchNorm2d(PerPart):
    """``nn.BatchNorm2d`` with statistics and parameters of its own for each part.

    Args:
        num_features: Channel count, split by alpha, or a (high, low) pair.
        eps, momentum, affine, track_running_stats, device, dtype: As in ``nn.BatchNorm2d``.
        alpha: Share of low channels in [0, 1]; 0.5 where num_features is a count.

    Raises:
        ValueError, TypeError: As ``OctConv2d``, also for parts that are not this layer's.
    """

    def __init__(
        self,
        num_features: int | Pair,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        alpha: float | None = None,
    ) -> None:
        pair = channel_pair("OctaveBatchNorm2d", "num_features", num_features, alpha)
        super().__init__(
            *(
                nn.BatchNorm2d(c, eps, momentum, affine, track_running_stats, device, dtype)
                if c
                else nn.Identity()
                for c in pair
            )
        )
        self.split = pair

    def forward(self, input: Maps) -> Tensor | OctaveMaps:
        """The map normalised part by part; it must have this layer's split."""
        check_split("OctaveBatchNorm2d", input, self.split)
        return super().forward(input)


class OctaveSplit(nn.Module):
    """A full-resolution tensor to a pair: the last channels are pooled 2x2 and become the low part.

    Args:
        channels: Channel count, split by alpha, or a (high, low) pair.
        alpha: Share of low channels in [0, 1]; 0.5 where channels is a count.

    Raises:
        ValueError, TypeError: As ``OctConv2d``, of channels and alpha.
    """

    def __init__(self, channels: int | Pair, *, alpha: float | None = None) -> None:
        super().__init__()
        self.channels = channel_pair("OctaveSplit", "channels", channels, alpha)

    def forward(self, input: Tensor) -> OctaveMaps:
        """(N, C, H, W) to high (N, C_high, H, W) and low (N, C_low, ceil(H/2), ceil(W/2)).

        Raises:
            ValueError, TypeError: Not such a tensor, or of other channels.
        """
        if not isinstance(input, Tensor):
            raise TypeError(f"OctaveSplit: input must be a tensor, got {type(input).__name__}")
        check_maps("OctaveSplit", input, None, names=("input", "low"))
        high, low = self.channels
        if input.shape[1] != high + low:
            raise ValueError(
                f"OctaveSplit: input must be (N, {high + low}, H, W), got {_shape(input)}"
            )
        if not low:
            return OctaveMaps(input, None)
        # A copy: what works on a view in place would change what the pool is differentiated by.
        return OctaveMaps(
            input[:, :high].clone() if high else None, reference.pool(input[:, high:])
        )

    def extra_repr(self) -> str:
        """The channel pair, for ``print``."""
        return f"channels={self.channels}"


class OctaveMerge(nn.Module):
    """A pair to one full-resolution tensor: the high part, then the low one upsampled (nearest)."""

    def forward(self, input: Maps) -> Tensor:
        """OctaveMaps to (N, C_high + C_low, H, W); a bare tensor passes through.

        Without a high part the result is (N, C_low, 2h, 2w).

        Raises:
            ValueError, TypeError: As ``oct_conv2d`` of an input.
        """
        high, low = as_parts("OctaveMerge", input)
        size = check_maps("OctaveMerge", high, low, names=("high", "low"))
        if low is None:
            assert high is not None
            return high
        low = reference.up(low, size)
        return low if high is None else torch.cat([high, low], 1)


def _shape(part: object) -> str:
    return str(tuple(part.shape)) if isinstance(part, Tensor) else "absent"
