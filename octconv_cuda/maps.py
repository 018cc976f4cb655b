"""Octave feature maps: a high and a low resolution part, and layers that work on the parts."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import reference
from .problem import check_maps

__all__ = [
    "OctaveBatchNorm2d",
    "OctaveMaps",
    "OctaveMerge",
    "OctaveSplit",
    "PerPart",
    "channel_pair",
    "split_channels",
]


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
        """Part by part; both sides must have the same parts."""
        if not isinstance(other, tuple) or len(other) != 2:
            raise TypeError(
                f"OctaveMaps + other: other must be a (high, low) pair, got {type(other).__name__}"
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
        """A plain (high, low) pair on the left; addition commutes."""
        return self + other

    def __mul__(self, factor: object) -> "OctaveMaps":
        """Each part times a number or a tensor (a tuple's own ``*`` would repeat the parts)."""
        if not isinstance(factor, int | float | Tensor):
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


# torch.export.save writes only registered types; torch has no public call for it yet.
torch.utils._pytree._register_namedtuple(
    OctaveMaps, serialized_type_name="octconv_cuda.maps.OctaveMaps"
)
# A pair is data: torch.load and torch.export.load may read it with weights_only.
torch.serialization.add_safe_globals([OctaveMaps])


def split_channels(channels: int, alpha: float) -> tuple[int, int]:
    """(C_high, C_low) with C_low = int(alpha * channels), the authors' rule.

    Raises:
        ValueError: channels < 1 or alpha outside [0, 1].
    """
    if channels < 1:
        raise ValueError(f"split_channels: channels must be at least 1, got {channels}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"split_channels: alpha must be in [0, 1], got {alpha}")
    low = int(alpha * channels)
    return channels - low, low


def channel_pair(
    operator: str, name: str, channels: int | tuple[int, int], alpha: float | None
) -> tuple[int, int]:
    """(C_high, C_low) from a channel count and alpha (None: 0.5), or from such a pair itself.

    Raises:
        ValueError: alpha beside a pair, alpha outside [0, 1], a negative part, no channels.
        TypeError: channels is neither an int nor a pair of ints.
    """
    if isinstance(channels, int):
        try:
            return split_channels(channels, 0.5 if alpha is None else alpha)
        except ValueError as error:
            raise ValueError(f"{operator}: {name}: {error}") from None
    if not (
        isinstance(channels, tuple | list)
        and len(channels) == 2
        and all(isinstance(part, int) for part in channels)
    ):
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


class PerPart(nn.Module):
    """Applies a module to each part of a map: an activation, a pooling, a normalisation, ...

    Args:
        high: Applied to the high part, and to a bare tensor.
        low: Applied to the low part; None: ``high`` serves both (its parameters are then shared).
    """

    def __init__(self, high: nn.Module, low: nn.Module | None = None) -> None:
        super().__init__()
        self.high = high
        self.low = low

    def forward(self, input: Tensor | tuple[Tensor | None, Tensor | None]) -> Tensor | OctaveMaps:
        """A tensor gives a tensor, a (high, low) pair OctaveMaps; an absent part stays absent."""
        if isinstance(input, Tensor):
            result: Tensor = self.high(input)
            return result
        high, low = input
        low_module = self.high if self.low is None else self.low
        return OctaveMaps(
            None if high is None else self.high(high),
            None if low is None else low_module(low),
        )


class OctaveBatchNorm2d(PerPart):
    """``nn.BatchNorm2d`` with statistics and parameters of its own for each part.

    Args:
        num_features: Channel count, split by alpha, or a (high, low) pair.
        eps, momentum, affine, track_running_stats, device, dtype: As in ``nn.BatchNorm2d``.
        alpha: Share of low channels in [0, 1]; 0.5 where num_features is a count.
    """

    def __init__(
        self,
        num_features: int | tuple[int, int],
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


class OctaveSplit(nn.Module):
    """A full-resolution tensor to a pair: the last channels are pooled 2x2 and become the low part.

    Args:
        channels: Channel count, split by alpha, or a (high, low) pair.
        alpha: Share of low channels in [0, 1]; 0.5 where channels is a count.
    """

    def __init__(self, channels: int | tuple[int, int], *, alpha: float | None = None) -> None:
        super().__init__()
        self.channels = channel_pair("OctaveSplit", "channels", channels, alpha)

    def forward(self, input: Tensor) -> OctaveMaps:
        """(N, C, H, W) to high (N, C_high, H, W) and low (N, C_low, ceil(H/2), ceil(W/2))."""
        high, low = self.channels
        if input.dim() != 4 or input.shape[1] != high + low:
            raise ValueError(
                f"OctaveSplit: input must be (N, {high + low}, H, W), got {_shape(input)}"
            )
        return OctaveMaps(
            input[:, :high] if high else None,
            reference.pool(input[:, high:]) if low else None,
        )

    def extra_repr(self) -> str:
        """The channel pair, for ``print``."""
        return f"channels={self.channels}"


class OctaveMerge(nn.Module):
    """A pair to one full-resolution tensor: the high part, then the low one upsampled (nearest)."""

    def forward(self, input: Tensor | tuple[Tensor | None, Tensor | None]) -> Tensor:
        """OctaveMaps to (N, C_high + C_low, H, W); a bare tensor passes through.

        Without a high part the result is (N, C_low, 2h, 2w).
        """
        if isinstance(input, Tensor):
            return input
        high, low = input
        if high is None or low is None:
            if low is not None:
                return reference.up(low, (2 * low.shape[2], 2 * low.shape[3]))
            if high is None:
                raise ValueError("OctaveMerge: input must have a high or a low part, got neither")
            return high
        size = check_maps("OctaveMerge", high, low, names=("high", "low"))
        return torch.cat([high, reference.up(low, size)], 1)


def _shape(part: object) -> str:
    return str(tuple(part.shape)) if isinstance(part, Tensor) else "absent"
