"""What the networks are built of: each layer as an octave or, without alphas, as a vanilla one."""

from numbers import Real

import torch
from torch import Tensor, nn

from ..maps import Maps, OctaveBatchNorm2d, OctaveMaps, PerPart, as_parts, split_channels
from ..modules import OctConv2d
from ..problem import check_count

__all__ = [
    "Alphas",
    "SqueezeExcitation",
    "activation",
    "check_width",
    "conv2d",
    "initialize",
    "norm2d",
]

Alphas = tuple[float, float]


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    *,
    alphas: Alphas | None = None,
) -> nn.Module:
    """A "same" convolution without bias: vanilla, or octave where (alpha_in, alpha_out) are given.

    Where the groups do not divide the parts, but none of them lies in both (a ResNeXt at alpha
    0.125: 28 groups high, 4 low), each stays with its part, as in a depthwise convolution.
    """
    padding = kernel_size // 2
    if alphas is None:
        return nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
        )
    pairs = [split_channels(c, a) for c, a in zip((in_channels, out_channels), alphas, strict=True)]
    if groups in (1, in_channels) or all(c % groups == 0 for pair in pairs for c in pair):
        return OctConv2d(
            pairs[0], pairs[1], kernel_size, stride, padding, groups=groups, bias=False
        )
    return PerPart(
        *(
            nn.Sequential(
                *[nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)] * (stride == 2),
                nn.Conv2d(
                    c_in, c_out, kernel_size, 1, padding, bias=False,
                    groups=_own_groups(c_in, c_out, in_channels, groups),
                ),
            )
            for c_in, c_out in zip(*pairs, strict=True)
        )
    )  # fmt: skip


def norm2d(channels: int, alpha: float | None = None) -> nn.Module:
    """Batch norm, with statistics for each part where alpha is given."""
    return nn.BatchNorm2d(channels) if alpha is None else OctaveBatchNorm2d(channels, alpha=alpha)


def activation(function: nn.Module, alpha: float | None = None) -> nn.Module:
    """The function, for each part where alpha is given."""
    return function if alpha is None else PerPart(function)


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018) of a map: both parts are squeezed into one vector.

    Args:
        channels: Channel count, split by alpha.
        alpha: Share of low channels; None: a tensor comes in.
        reduction: Channels to each hidden unit, of which there is one at least.

    Raises:
        TypeError, ValueError: As ``split_channels``; a reduction below 1.
    """

    def __init__(self, channels: int, alpha: float | None = None, reduction: int = 16) -> None:
        super().__init__()
        self.split = split_channels(channels, alpha or 0)
        check_count("SqueezeExcitation", "reduction", reduction)
        hidden = max(1, channels // reduction)
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, input: Maps) -> Tensor | OctaveMaps:
        """The map, each channel times its gate."""
        parts = as_parts("SqueezeExcitation", input)
        means = torch.cat([part.mean((2, 3)) for part in parts if part is not None], 1)
        gates = self.fc2(self.fc1(means).relu()).sigmoid()[:, :, None, None]
        high, low = (
            None if part is None else part * gate
            for part, gate in zip(parts, gates.split_with_sizes(self.split, 1), strict=True)
        )
        return high if isinstance(input, Tensor) and high is not None else OctaveMaps(high, low)


def initialize(network: nn.Module) -> None:
    """He's normal initialisation of all convolutions (He et al. 2015), by what goes out."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def check_width(network: str, width: float, fewest: int) -> None:
    """Raises unless it is a number (TypeError) that leaves the fewest channels one (ValueError)."""
    if not isinstance(width, Real):
        raise TypeError(f"{network}: width must be a number, got {width!r}")
    if not 1 <= fewest * width < float("inf"):
        raise ValueError(f"{network}: width must be finite, at least 1/{fewest}, got {width}")


def _own_groups(c_in: int, c_out: int, in_channels: int, groups: int) -> int:
    """How many of the groups a part holds."""
    own, rest = divmod(c_in, in_channels // groups)
    if rest or not own or c_out % own:
        raise ValueError(
            f"conv2d: {groups} groups of {in_channels} channels can be split only between two "
            f"groups or within all, got a part of {c_in} channels to {c_out}"
        )
    return own
