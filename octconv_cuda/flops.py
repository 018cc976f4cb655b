"""What ``torch.utils.flop_counter.FlopCounterMode`` counts for the operators.

Two operations a multiply-add; each of the three operators does the products of one forward pass.
Tensors arrive as their shapes, an absent one as None.
"""

import math
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from . import ops  # noqa: F401  (it defines the operators)
from .cost import macs
from .problem import Pair

__all__: list[str] = []

Shape = tuple[int, ...]
_ops: Any = torch.ops.octconv_cuda


def _forward(
    x_high: Shape | None,
    x_low: Shape | None,
    weight: Shape,
    bias: Shape | None,
    high_out: int,
    size: Shape,
    stride: int,
    *args: Any,
    **kwargs: Any,
) -> int:
    channels_out = (high_out, weight[0] - high_out)
    return _flops((x_high, x_low), channels_out, weight[2:], size, stride)


def _inference(
    x_high: Shape | None,
    x_low: Shape | None,
    weight: Shape,
    bias: Shape | None,
    scale: Shape,
    shift: Shape,
    residual_high: Shape | None,
    residual_low: Shape | None,
    activation: int,
    *call: Any,
    **kwargs: Any,
) -> int:
    """The products alone, as PyTorch counts no element-wise operation."""
    return _forward(x_high, x_low, weight, bias, *call)


def _input_grad(
    dy_high: Shape,
    dy_low: Shape,
    weight: Shape,
    high_in: int,
    size: Shape,
    stride: int,
    *args: Any,
    **kwargs: Any,
) -> int:
    x = ((dy_high[0], high_in), (dy_high[0], weight[1] - high_in))
    return _flops(x, (dy_high[1], dy_low[1]), weight[2:], size, stride)


def _weight_grad(
    x_high: Shape | None,
    x_low: Shape | None,
    dy_high: Shape,
    dy_low: Shape,
    size: Shape,
    kernel_size: Shape,
    stride: int,
    *args: Any,
    **kwargs: Any,
) -> int:
    return _flops((x_high, x_low), (dy_high[1], dy_low[1]), kernel_size, size, stride)


def _pointwise(*args: Any, out_shape: Shape, **kwargs: Any) -> int:
    """OneDNN's convolutions of fused networks; the binary ones have another tensor before W."""
    binary = args[2] is not None and len(args[2]) == 4
    weight: Shape = args[2 if binary else 1]
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def _cudnn(x: Shape, weight: Shape, *args: Any, out_shape: Shape, **kwargs: Any) -> int:
    """CuDNN's convolutions of fused networks."""
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def _flops(
    x: tuple[Shape | None, Shape | None],
    channels_out: Pair,
    kernel_size: Shape,
    size: Shape,
    stride: int,
) -> int:
    """``x`` are the shapes of the input's parts, of which N and C count."""
    batch = next(part[0] for part in x if part is not None)
    high_in, low_in = (0 if part is None else part[1] for part in x)
    k_h, k_w = kernel_size
    height, width = size
    return 2 * macs(
        (high_in, low_in), channels_out, (k_h, k_w), (height, width), stride=stride, batch=batch
    )


for _operator, _formula in (
    (_ops.forward, _forward),
    (_ops.inference, _inference),
    (_ops.input_grad, _input_grad),
    (_ops.weight_grad, _weight_grad),
):
    register_flop_formula(_operator)(_formula)
for _name in ("_convolution_pointwise", "_convolution_pointwise_"):
    if hasattr(torch.ops.mkldnn, _name):
        register_flop_formula(getattr(torch.ops.mkldnn, _name))(_pointwise)
for _name in ("cudnn_convolution_relu", "cudnn_convolution_add_relu"):
    register_flop_formula(getattr(torch.ops.aten, _name))(_cudnn)
