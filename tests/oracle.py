"""Octave Convolution a second time, in numpy and float64, and the rule by which results are judged.

It shares no code and no operator with the package: windows and taps are written out as indices.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Pair = tuple[int, int]


def pool(x: Array) -> Array:
    """The mean of the pixels of each 2x2 window that lie inside; slices end at the border."""
    n, c, h, w = x.shape
    out = np.empty((n, c, -(-h // 2), -(-w // 2)))
    for i, j in np.ndindex(out.shape[2:]):
        out[:, :, i, j] = x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((2, 3))
    return out


def up(x: Array, size: Pair) -> Array:
    """Each pixel of the (H, W) result is the low pixel above it."""
    rows, columns = (np.arange(extent) // 2 for extent in size)
    return x[:, :, rows][:, :, :, columns]


def shifted(x: Array, axis: int, offset: int, padding_mode: str) -> Array:
    """x[i + offset] along an axis; what lies outside comes from the padding mode."""
    extent = x.shape[axis]
    index = np.arange(extent) + offset
    if padding_mode == "zeros":
        inside = (index >= 0) & (index < extent)
        mask = inside.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        return x.take(index.clip(0, extent - 1), axis) * mask
    if padding_mode == "replicate":
        index = index.clip(0, extent - 1)
    elif padding_mode == "circular":
        index = index % extent
    elif padding_mode == "reflect":
        index = np.abs(index)
        index = np.where(index < extent, index, 2 * (extent - 1) - index)
    else:
        raise ValueError(padding_mode)
    return x.take(index, axis)


def conv(x: Array, weight: Array, dilation: Pair, groups: int, padding_mode: str) -> Array:
    """A "same" convolution at stride 1 as a sum over its taps."""
    n, c_in, h, w = x.shape
    c_out, _, k_h, k_w = weight.shape
    out = np.zeros((n, groups, c_out // groups, h, w))
    for i, j in np.ndindex(k_h, k_w):
        row_offset, column_offset = dilation[0] * (i - k_h // 2), dilation[1] * (j - k_w // 2)
        tap = shifted(shifted(x, 2, row_offset, padding_mode), 3, column_offset, padding_mode)
        out += np.einsum(
            "ngchw,goc->ngohw",
            tap.reshape(n, groups, c_in // groups, h, w),
            weight[:, :, i, j].reshape(groups, c_out // groups, c_in // groups),
        )
    return out.reshape(n, c_out, h, w)


def oct_conv2d(
    x_high: Array,
    x_low: Array,
    weight: Array,
    bias: Array,
    high_out: int,
    size: Pair,
    *,
    stride: int = 1,
    dilation: Pair = (1, 1),
    groups: int = 1,
    padding_mode: str = "zeros",
) -> tuple[Array, Array]:
    """Both outputs from both inputs; an absent part is one of zero channels.

    Args:
        x_high: (N, C_high, H, W) with (H, W) = size.
        x_low: (N, C_low, ceil(H/2), ceil(W/2)).
        weight: (C_out, C_in / groups, k_h, k_w), rows and columns [high | low].
        bias: (C_out).
        high_out: How many outputs are high.
        size: (H, W).
        stride: 1, or 2, where the inputs are pooled first.
        dilation: Of rows and columns.
        groups: Of each path; C_in > 1 groups are depthwise.
        padding_mode: As in ``torch.nn.Conv2d``.
    """
    high_in, low_in = x_high.shape[1], x_low.shape[1]
    b_high, b_low = bias[:high_out, None, None], bias[high_out:, None, None]

    def path(x: Array, w: Array, path_groups: int = groups) -> Array:
        if 0 in (x.shape[1], w.shape[0]):
            return np.zeros((x.shape[0], w.shape[0], *x.shape[2:]))
        return conv(x, w, dilation, path_groups, padding_mode)

    if groups == high_in + low_in > 1:
        if stride == 2:
            x_high, x_low = pool(x_high), pool(x_low)
        return (
            path(x_high, weight[:high_out], high_in) + b_high,
            path(x_low, weight[high_out:], low_in) + b_low,
        )
    columns = high_in // groups
    w_hh, w_lh = weight[:high_out, :columns], weight[:high_out, columns:]
    w_hl, w_ll = weight[high_out:, :columns], weight[high_out:, columns:]
    if stride == 1:
        return (
            path(x_high, w_hh) + up(path(x_low, w_lh), size) + b_high,
            path(x_low, w_ll) + path(pool(x_high), w_hl) + b_low,
        )
    return (
        path(pool(x_high), w_hh) + path(x_low, w_lh) + b_high,
        path(pool(x_low), w_ll) + path(pool(pool(x_high)), w_hl) + b_low,
    )


def assert_accurate(result: Tensor, torch_result: Tensor, exact: Tensor) -> None:
    """Raises unless ``result`` is about as near to ``exact`` as PyTorch's own operators come.

    Two times their error, plus two times what a rounding of the dtype does to the exact values,
    even where all of these are small. The error is the largest one in the 16-bit types, which
    accumulate in float32. In float32 and float64 it is the root mean square: there the order of a
    sum decides, and the largest of many such errors is luck. What is exact for float64 is itself a
    sum in some order, which may be PyTorch's own: there roundings count sixteen times. On GPUs
    PyTorch's error counts eight times: there cuDNN sums differently in every shape that it is
    given.

    Args:
        result: What is judged, in the dtype under test.
        torch_result: The same from the composition of PyTorch's operators, in the same dtype, and
            in channels_last, where the order of their sums is that of our format.
        exact: The same computed in float64.
    """
    assert result.shape == torch_result.shape == exact.shape
    assert result.dtype == torch_result.dtype
    assert exact.dtype == torch.float64
    if not exact.numel():
        return
    size = _largest if result.dtype.itemsize == 2 else _root_mean_square
    exact = exact.to(result.device)
    rounded = exact.to(result.dtype)
    aside = 0.3 * _root_mean_square(exact)  # so that what the dtype holds is rounded, too
    rounding = size(((rounded + aside) - aside) - rounded)
    assert math.isfinite(rounding), "the test's own values overflow"
    torch_error = size(torch_result.double() - exact)
    error = size(result.double() - exact)
    times = 8 if exact.is_cuda and result.dtype.itemsize > 2 else 2
    roundings = 16 if exact.dtype == result.dtype else 2
    assert error <= times * torch_error + roundings * rounding, (error, torch_error, rounding)


def assert_equal_values(result: Tensor, exact: Tensor) -> None:
    """Raises unless every value is that of ``exact``, whose values the dtype can hold."""
    assert result.shape == exact.shape
    expected = exact.to(result.device, result.dtype)
    assert torch.equal(expected.double(), exact.to(result.device)), "the test's own values overflow"
    assert torch.equal(result, expected), f"largest difference {_largest(result - expected)}"


def _largest(x: Tensor) -> float:
    return x.abs().max().item()


def _root_mean_square(x: Tensor) -> float:
    return x.double().square().mean().sqrt().item()
