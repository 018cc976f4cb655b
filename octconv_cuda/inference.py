"""The operator ``inference``, forward with an epilogue, from PyTorch's own operators."""

from collections.abc import Callable

import torch
from torch import Tensor

from .activations import ACTIVATIONS
from .operands import check_inference
from .problem import Pair, Parts

__all__ = ["finish", "inference"]

_FUNCTIONS = {a.epilogue: a.function for a in ACTIVATIONS.values() if a.most is None}


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
    *,
    forward: Callable[..., tuple[Tensor, Tensor]] | None = None,
) -> tuple[Tensor, Tensor]:
    """Activation(forward * scale + shift + residual), part by part, without gradients.

    Args:
        x_high: As of ``forward``, like all that is not named here.
        x_low: Likewise.
        weight: Likewise.
        bias: Likewise.
        scale: (C_out) float32, factors of the channels [high | low]: a batch norm, folded.
        shift: (C_out) float32, what is added to them.
        residual_high: None, or like y_high.
        residual_low: None, or like y_low.
        activation: 0 none, 1 ReLU, 2 SiLU.
        high_out: As of ``forward``.
        size: Likewise.
        stride: Likewise.
        allow_tf32: Likewise.
        family: Likewise.
        forward: What computes that; None: the operator, whoever serves it.
    """
    check_inference(
        x_high, x_low, weight, bias, scale, shift, residual_high, residual_low, activation,
        high_out, size, stride,
    )  # fmt: skip
    forward = forward or torch.ops.octconv_cuda.forward
    y = forward(x_high, x_low, weight, bias, high_out, size, stride, allow_tf32, family)
    return finish(y, scale, shift, (residual_high, residual_low), activation)


def finish(
    y: tuple[Tensor, Tensor],
    scale: Tensor,
    shift: Tensor,
    residuals: Parts,
    activation: int,
) -> tuple[Tensor, Tensor]:
    """What follows ``forward``'s (y_high, y_low)."""
    channels = (y[0].shape[1], y[1].shape[1])
    factors = zip(scale.split_with_sizes(channels), shift.split_with_sizes(channels), strict=True)
    high, low = (
        _finish(part, *of_part, residual, activation)
        for part, of_part, residual in zip(y, factors, residuals, strict=True)
    )
    return high, low


def _finish(
    y: Tensor, scale: Tensor, shift: Tensor, residual: Tensor | None, activation: int
) -> Tensor:
    """In float32 for 16-bit types, with one more rounding at the end."""
    wide = torch.promote_types(y.dtype, torch.float32)
    result = y.to(wide) * scale.to(wide)[:, None, None] + shift.to(wide)[:, None, None]
    if residual is not None:
        result = result + residual
    finished: Tensor = _FUNCTIONS[activation](result)
    return finished.to(y.dtype)
