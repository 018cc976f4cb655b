"""The operators in terms of PyTorch's own, for runtimes without this library, such as ONNX's."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import reference, resample
from .convolutions import empty_part
from .inference import finish
from .operands import out_size
from .problem import Pair, low_size, present

__all__ = ["decompositions", "plain_forward"]


def decompositions() -> dict[Any, Callable[..., Any]]:
    """For ``ExportedProgram.run_decompositions``: what a network's operators become.

    Covered is what inference calls: ``octconv_cuda::oct_conv2d``, ``forward``, ``inference`` and
    ``pool2x2``. They become the operators of ``octconv_cuda.reference``: convolutions, a pool, an
    upsampling.
    """
    operators = torch.ops.octconv_cuda
    return {
        operators.forward.default: plain_forward,
        operators.oct_conv2d.default: _oct_conv2d,
        operators.inference.default: _inference,
        operators.pool2x2.default: resample.plain_pool2x2,
    }


def plain_forward(
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
    """The operator ``forward`` in operators of PyTorch's that it differentiates and transforms."""
    high, low = reference.oct_conv2d(
        x_high, x_low, weight, bias, high_out, stride=stride, size=(size[0], size[1])
    )
    x = present(x_high, x_low)
    y_size = out_size(size, stride)
    return (
        empty_part(x, 0, y_size) if high is None else high,
        empty_part(x, 0, low_size(y_size)) if low is None else low,
    )


def _oct_conv2d(
    x_high: Tensor | None, x_low: Tensor | None, weight: Tensor, bias: Tensor | None, *call: Any
) -> tuple[Tensor, Tensor]:
    high_out, size, stride, *_ = call
    return plain_forward(x_high, x_low, weight, bias, high_out, size, stride, allow_tf32=False)


def _inference(
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
    *call: Any,
) -> tuple[Tensor, Tensor]:
    y = plain_forward(x_high, x_low, weight, bias, high_out, *call)
    return finish(y, scale, shift, (residual_high, residual_low), activation)
