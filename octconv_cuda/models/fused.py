"""Blocks for inference, whose convolutions take in what follows them; see ``octconv_cuda.fuse``."""

from typing import Any

from torch import Tensor, nn

from ..maps import Maps, OctaveMaps

__all__ = ["FusedBottleneck", "FusedResidual"]


class FusedResidual(nn.Module):
    """Convolutions of which the last one adds the block's input.

    Args:
        convolutions: In their order; the last one takes a residual.
    """

    def __init__(self, *convolutions: nn.Module) -> None:
        super().__init__()
        *first, last = convolutions
        self.first, self.last = nn.Sequential(*first), last
        self.eval()

    def forward(self, x: Maps) -> Tensor | OctaveMaps:
        """The block's output."""
        return self.last(self.first(x), x)  # type: ignore[no-any-return]


class FusedBottleneck(nn.Module):
    """Either variant of a bottleneck block.

    Args:
        block: Its shortcut and squeeze-and-excitation stay, and what is behind that then.
        conv1, conv2, conv3: With what follows them; the last takes a residual.
        before: What a pre-activation block does before its first convolution.
    """

    def __init__(
        self,
        block: Any,
        conv1: nn.Module,
        conv2: nn.Module,
        conv3: nn.Module,
        *,
        before: nn.Sequential | None = None,
    ) -> None:
        super().__init__()
        self.before = before or nn.Sequential()
        self.conv1, self.conv2, self.conv3 = conv1, conv2, conv3
        self.shortcut = nn.Identity() if block.downsample is None else block.downsample
        self.se = block.se
        # Behind squeeze-and-excitation nothing is left to a convolution.
        self.relu = block.relu if block.se is not None and before is None else nn.Identity()
        self.eval()

    def forward(self, x: Maps) -> Tensor | OctaveMaps:
        """The block's output, a tensor where it has no low channels."""
        y = self.conv2(self.conv1(self.before(x)))  # first, as in the block: it may write into x
        shortcut = self.shortcut(x)
        if self.se is None:
            return self.conv3(y, shortcut)  # type: ignore[no-any-return]
        return self.relu(self.se(self.conv3(y)) + shortcut)  # type: ignore[no-any-return]
