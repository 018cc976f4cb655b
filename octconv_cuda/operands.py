"""Checks of the three operators' operands: a raw call fails as clearly as a public one."""

import torch
from torch import Tensor

from .problem import (
    TENSOR_TYPES,
    Pair,
    channels,
    check_dense,
    check_kernel,
    check_maps,
    check_odd,
    check_same,
    check_weight,
    low_size,
    present,
)

__all__ = [
    "check_forward",
    "check_inference",
    "check_input_grad",
    "check_weight_grad",
    "out_size",
]

DY = ("dy_high", "dy_low")


def check_forward(
    x_high: Tensor | None,
    x_low: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    high_out: int,
    size: Pair,
    stride: int,
    operator: str = "octconv_cuda::forward",
) -> None:
    """Raises where an operator with the operands of ``forward`` must not run."""
    _checked_out_size(operator, size, stride)
    check_odd(operator, check_kernel(operator, weight))
    check_maps(operator, x_high, x_low, size)
    x = present(x_high, x_low)
    channels_out = _checked_split(operator, "high_out", high_out, weight.shape[0])
    check_weight(operator, weight, bias, channels(x_high, x_low), channels_out, 1, x)
    _check_storages(operator, x_high=x_high, x_low=x_low, weight=weight, bias=bias)


def check_inference(
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
) -> None:
    """Raises where the operator ``inference`` must not run."""
    operator = "octconv_cuda::inference"
    check_forward(x_high, x_low, weight, bias, high_out, size, stride, operator)
    for name, factors in (("scale", scale), ("shift", shift)):
        if not isinstance(factors, TENSOR_TYPES):
            raise TypeError(f"{operator}: {name} must be a tensor, got {type(factors).__name__}")
        check_dense(operator, name, factors)
        if factors.shape != weight.shape[:1] or factors.dtype != torch.float32:
            raise ValueError(
                f"{operator}: {name} must be float32 ({weight.shape[0]},), got "
                f"{factors.dtype} {tuple(factors.shape)}"
            )
        if factors.device != weight.device:
            raise ValueError(
                f"{operator}: {name} must be on {weight.device} like the weight, got "
                f"{factors.device}"
            )
    x = present(x_high, x_low)
    y_size = out_size(size, stride)
    low_out = weight.shape[0] - high_out
    for name, residual, channels_out, residual_size in (
        ("residual_high", residual_high, high_out, y_size),
        ("residual_low", residual_low, low_out, low_size(y_size)),
    ):
        if residual is None:
            continue
        check_dense(operator, name, residual)
        expected = (x.shape[0], channels_out, *residual_size)
        if residual.shape != expected:
            raise ValueError(
                f"{operator}: {name} must be {expected} like the output, got "
                f"{tuple(residual.shape)}"
            )
        check_same(operator, name, residual, "the weight", weight)
    _check_storages(
        operator, scale=scale, shift=shift, residual_high=residual_high, residual_low=residual_low
    )
    if activation not in (0, 1, 2):
        raise ValueError(
            f"{operator}: activation must be 0 (none), 1 (ReLU) or 2 (SiLU), got {activation}"
        )


def check_input_grad(
    dy_high: Tensor, dy_low: Tensor, weight: Tensor, high_in: int, size: Pair, stride: int
) -> None:
    """Raises where the operator ``input_grad`` must not run."""
    operator = "octconv_cuda::input_grad"
    _check_gradients(operator, dy_high, dy_low, _checked_out_size(operator, size, stride))
    check_odd(operator, check_kernel(operator, weight))
    channels_in = _checked_split(operator, "high_in", high_in, weight.shape[1])
    check_weight(operator, weight, None, channels_in, channels(dy_high, dy_low), 1, dy_high)
    _check_storages(operator, dy_high=dy_high, dy_low=dy_low, weight=weight)


def check_weight_grad(
    x_high: Tensor | None,
    x_low: Tensor | None,
    dy_high: Tensor,
    dy_low: Tensor,
    size: Pair,
    kernel_size: Pair,
    stride: int,
) -> None:
    """Raises where the operator ``weight_grad`` must not run."""
    operator = "octconv_cuda::weight_grad"
    out = _checked_out_size(operator, size, stride)
    check_maps(operator, x_high, x_low, size)
    _check_gradients(operator, dy_high, dy_low, out)
    x = present(x_high, x_low)
    check_same(operator, "dy_high", dy_high, "x", x)
    if x.shape[0] != dy_high.shape[0]:
        raise ValueError(
            f"{operator}: dy_high must have the batch of x, {x.shape[0]}, got {dy_high.shape[0]}"
        )
    for name, parts in (("x", (x_high, x_low)), ("dy", (dy_high, dy_low))):
        if not sum(channels(*parts)):
            raise ValueError(f"{operator}: {name} must have at least one channel, got none")
    check_odd(operator, kernel_size)
    _check_storages(operator, x_high=x_high, x_low=x_low, dy_high=dy_high, dy_low=dy_low)


def out_size(size: Pair, stride: int) -> Pair:
    """(H, W) of the high output for that of the high input."""
    return (size[0], size[1]) if stride == 1 else low_size(size)


def _check_storages(operator: str, **tensors: Tensor | None) -> None:
    """Memory behind every element: a sharded parameter's storage is freed between its uses."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.numel() and not tensor.untyped_storage().nbytes():
            raise ValueError(
                f"{operator}: {name} must have its data in memory, got {tuple(tensor.shape)} with "
                "a freed storage"
            )


def _checked_split(operator: str, name: str, high: int, total: int) -> Pair:
    if not 0 <= high <= total:
        raise ValueError(f"{operator}: {name} must be in [0, {total}], got {high}")
    return high, total - high


def _check_gradients(
    operator: str, dy_high: Tensor | None, dy_low: Tensor | None, size: Pair
) -> None:
    for name, dy in zip(DY, (dy_high, dy_low), strict=True):
        if dy is None:  # the dispatcher lets None pass for a Tensor
            raise TypeError(
                f"{operator}: {name} must be a tensor, without channels where there is no such "
                "part, got None"
            )
    check_maps(operator, dy_high, dy_low, size, names=DY)


def _checked_out_size(operator: str, size: Pair, stride: int) -> Pair:
    if len(size) != 2:
        raise ValueError(f"{operator}: size must be (H, W), got {tuple(size)}")
    if stride not in (1, 2):
        raise ValueError(f"{operator}: stride must be 1 or 2, got {stride}")
    return out_size(size, stride)
