"""pool2x2 and upsample2x2_ from PyTorch's operators, for devices without native kernels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .problem import check_maps

__all__ = ["plain_pool2x2", "pool2x2", "upsample2x2_"]


def pool2x2(high: Tensor, low: Tensor | None, mean: bool) -> Tensor:
    """[pool(high) ; low], (N, C_high + C_low, ceil(H/2), ceil(W/2)), channels_last.

    The pool is the mean (or the sum) of the pixels of each 2x2 window that lie inside the image.
    """
    check_maps("octconv_cuda::pool2x2", high, low, names=("high", "low"))
    z = plain_pool2x2(high, low, mean)
    return torch.empty_like(z, memory_format=torch.channels_last).copy_(z)


def plain_pool2x2(high: Tensor, low: Tensor | None, mean: bool) -> Tensor:
    """The same in whatever memory format PyTorch gives it."""
    z = F.avg_pool2d(
        high, 2, ceil_mode=True, count_include_pad=False, divisor_override=None if mean else 1
    )
    return z if low is None else torch.cat([z, low], 1)


def upsample2x2_(out: Tensor, low: Tensor, accumulate: bool, mean: bool) -> None:
    """Writes low, upsampled to the nearest pixel and cropped, to out (N, C, H, W), or adds it.

    With ``mean`` each low value is divided by the pixels of its window that lie inside: 4, 2 or 1.
    """
    check_maps("octconv_cuda::upsample2x2_", out, low, names=("out", "low"))
    if mean:
        rows, columns = (
            F.pad(low.new_full((size // 2,), 2), (0, size % 2), value=1) for size in out.shape[2:]
        )
        low = low / (rows[:, None] * columns)
    for dy in range(2):
        for dx in range(2):
            phase = out[:, :, dy::2, dx::2]
            value = low[:, :, : phase.shape[2], : phase.shape[3]]
            if accumulate:
                phase.add_(value)
            else:
                phase.copy_(value)
