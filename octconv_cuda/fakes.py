"""The operators' results without their values: shapes, dtypes and strides, for tracing."""

import torch
from torch import Tensor

from .convolutions import empty_part, empty_weight
from .operands import (
    check_forward,
    check_inference,
    check_input_grad,
    check_weight_grad,
    out_size,
)
from .problem import Pair, channels, check_maps, low_size, present

__all__ = ["forward", "inference", "input_grad", "pool2x2", "upsample2x2_", "weight_grad"]


def forward(
    x_high: Tensor | None,
    x_low: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    high_out: int,
    size: Pair,
    stride: int,
    allow_tf32: bool,
    family: str = "",
) -> tuple[Tensor, Tensor]:
    """Empty y_high (N, high_out, H', W') and y_low, channels_last."""
    check_forward(x_high, x_low, weight, bias, high_out, size, stride)
    x = present(x_high, x_low)
    y_size = out_size(size, stride)
    return (
        empty_part(x, high_out, y_size),
        empty_part(x, weight.shape[0] - high_out, low_size(y_size)),
    )


def inference(
    x_high: Tensor | None,
    x_low: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    residual_high: Tensor | None,
    residual_low: Tensor | None,
    activation: int,
    high_out: int,
    size: Pair,
    stride: int,
    allow_tf32: bool,
    family: str = "",
) -> tuple[Tensor, Tensor]:
    """As ``forward``."""
    check_inference(
        x_high, x_low, weight, bias, scale, shift, residual_high, residual_low, activation,
        high_out, size, stride,
    )  # fmt: skip
    return forward(x_high, x_low, weight, bias, high_out, size, stride, allow_tf32)


def input_grad(
    dy_high: Tensor,
    dy_low: Tensor,
    weight: Tensor,
    high_in: int,
    size: Pair,
    stride: int,
    allow_tf32: bool,
    family: str = "",
) -> tuple[Tensor, Tensor]:
    """Empty dx_high (N, high_in, H, W) and dx_low, channels_last."""
    check_input_grad(dy_high, dy_low, weight, high_in, size, stride)
    return (
        empty_part(dy_high, high_in, size),
        empty_part(dy_high, weight.shape[1] - high_in, low_size(size)),
    )


def weight_grad(
    x_high: Tensor | None,
    x_low: Tensor | None,
    dy_high: Tensor,
    dy_low: Tensor,
    size: Pair,
    kernel_size: Pair,
    stride: int,
    allow_tf32: bool,
    channels_last: bool = False,
    family: str = "",
    bias: bool = True,
    float32: bool = False,
) -> tuple[Tensor, Tensor]:
    """Empty dW (C_out, C_in, k_h, k_w), as laid out, and dbias (C_out) if it is asked for."""
    check_weight_grad(x_high, x_low, dy_high, dy_low, size, kernel_size, stride)
    c_in, c_out = sum(channels(x_high, x_low)), sum(channels(dy_high, dy_low))
    if float32 and dy_high.dtype.itemsize == 2:
        dy_high = dy_high.new_empty(dy_high.shape, dtype=torch.float32)
    dw = empty_weight(dy_high, (c_out, c_in, *kernel_size), channels_last)
    return dw, dy_high.new_empty((c_out if bias else 0,))


def pool2x2(high: Tensor, low: Tensor | None, mean: bool) -> Tensor:
    """(N, C_high + C_low, ceil(H/2), ceil(W/2)), channels_last."""
    size = check_maps("octconv_cuda::pool2x2", high, low, names=("high", "low"))
    return empty_part(high, sum(channels(high, low)), low_size(size))


def upsample2x2_(out: Tensor, low: Tensor, accumulate: bool, mean: bool) -> None:
    """Nothing: ``out`` is written in place."""
    check_maps("octconv_cuda::upsample2x2_", out, low, names=("out", "low"))
