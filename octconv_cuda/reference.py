"""Octave Convolution in plain PyTorch operators, to be read beside the paper.

Source: Chen et al., "Drop an Octave", ICCV 2019 (arXiv 1904.05049), section 3. Four convolutions, a
pool, an upsample and two adds: the form that every public implementation runs. It is the
composition that serves what the operators do not cover, and what tests and benchmarks compare with.
"""

import torch.nn.functional as F
from torch import Tensor

__all__ = ["oct_conv2d", "pool", "up"]


def pool(x: Tensor) -> Tensor:
    """2x2 average of the pixels inside: (N, C, H, W) to (N, C, ceil(H/2), ceil(W/2))."""
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def up(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest upsampling by 2, cropped: (N, C, ceil(H/2), ceil(W/2)) to (N, C, *size)."""
    return F.interpolate(x, scale_factor=2, mode="nearest")[:, :, : size[0], : size[1]]


def oct_conv2d(
    x_high: Tensor | None,
    x_low: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    high_out: int,
    *,
    stride: int = 1,
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    padding_mode: str = "zeros",
    size: tuple[int, int] | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """The four paths of the paper's section 3.3, with "same" padding in each path's own pixels.

    Nothing is checked here; ``octconv_cuda.oct_conv2d`` does that.

    Args:
        x_high: (N, C_high, H, W), or None when every input channel is low.
        x_low: (N, C_low, ceil(H/2), ceil(W/2)), or None when every input channel is high.
        weight: (C_out, C_in / groups, k_h, k_w); rows [high | low] outputs, columns [high | low]
            inputs.
        bias: (C_out) or None.
        high_out: How many of the C_out outputs are high.
        stride: 1, or 2 as the authors do it: pool first, then convolve at stride 1.
        dilation: Of the kernel's rows and columns.
        groups: Groups of each path; groups = C_in > 1 is depthwise, without exchange.
        padding_mode: As in ``torch.nn.Conv2d``, applied in each path.
        size: (H, W) of the high input; needed only where x_high is None and H or W is odd.

    Returns:
        y_high (N, high_out, H', W') and y_low (N, C_out - high_out, ceil(H'/2), ceil(W'/2)) with
        H' = ceil(H / stride); None for a part without channels.

    Raises:
        ValueError: Neither x_high nor x_low is given.
    """
    if x_high is not None:
        size = (x_high.shape[2], x_high.shape[3])
    elif x_low is None:
        raise ValueError("reference.oct_conv2d: one of x_high and x_low must be given, got neither")
    elif size is None:
        size = (2 * x_low.shape[2], 2 * x_low.shape[3])
    channels = [0 if x is None else x.shape[1] for x in (x_high, x_low)]
    b_high, b_low = (None, None) if bias is None else (bias[:high_out], bias[high_out:])

    def conv(x: Tensor | None, w: Tensor, b: Tensor | None, groups: int = groups) -> Tensor | None:
        if x is None or w.shape[0] == 0:
            return None
        pad_h, pad_w = (d * (k - 1) // 2 for d, k in zip(dilation, w.shape[2:], strict=True))
        if padding_mode == "zeros":
            return F.conv2d(x, w, b, 1, (pad_h, pad_w), dilation, groups)
        padded = F.pad(x, (pad_w, pad_w, pad_h, pad_h), padding_mode)
        return F.conv2d(padded, w, b, 1, 0, dilation, groups)

    if groups > 1 and groups == sum(channels):
        if stride == 2:
            x_high, x_low = _pooled(x_high), _pooled(x_low)
        return (
            conv(x_high, weight[:high_out], b_high, channels[0]),
            conv(x_low, weight[high_out:], b_low, channels[1]),
        )

    high_columns = channels[0] // groups
    w_hh, w_lh = weight[:high_out, :high_columns], weight[:high_out, high_columns:]
    w_hl, w_ll = weight[high_out:, :high_columns], weight[high_out:, high_columns:]
    b_lh = b_high if x_high is None else None
    b_ll = b_low if x_high is None else None
    has_low = weight.shape[0] > high_out
    pooled = _pooled(x_high, stride == 2 or has_low)
    if stride == 2:
        y_high = _add(conv(pooled, w_hh, b_high), conv(x_low, w_lh, b_lh))
        pooled, x_low = _pooled(pooled, has_low), _pooled(x_low, has_low)
        y_low = _add(conv(pooled, w_hl, b_low), conv(x_low, w_ll, b_ll))
        return y_high, y_low
    low_to_high = conv(x_low, w_lh, b_lh)
    if low_to_high is not None:
        low_to_high = up(low_to_high, size)
    y_high = _add(conv(x_high, w_hh, b_high), low_to_high)
    y_low = _add(conv(pooled, w_hl, b_low), conv(x_low, w_ll, b_ll))
    return y_high, y_low


def _pooled(x: Tensor | None, needed: bool = True) -> Tensor | None:
    return None if x is None or not needed else pool(x)


def _add(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
