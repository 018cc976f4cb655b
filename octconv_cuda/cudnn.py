"""Plain convolutions on CUDA with what follows them within.

``F.conv2d`` adds its bias in a launch of its own, which can take as long as the convolution. cuDNN
takes in bias, sum and ReLU, and a 1x1 kernel is a matrix product, to which cuBLAS adds the bias.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .activations import ACTIVATIONS
from .problem import Pair

__all__ = ["convolution"]

_SIXTEEN_BIT = (torch.bfloat16, torch.float16)
# Calls for which cuDNN had no engine, which it tells by an error alone. Its text is not asked: to
# try for ever what is refused costs more than to try no more what failed by chance.
_refused: set[tuple[Any, ...]] = set()
_MOST_REFUSED = 4096


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    activation: str,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """activation(convolution + bias + residual), without gradients.

    Args:
        x: (N, C_in, H, W).
        weight: (C_out, C_in / groups, k_h, k_w).
        bias: (C_out).
        residual: A map like the output, of x's dtype and device, at which cuDNN does not look, or
            None.
        activation: As of ``FusedConv2d``.
        stride: As in ``F.conv2d``, as all that follows.
        padding: A pair.
        dilation: A pair.
        groups: One for what goes into the convolution.
    """
    geometry = (stride, padding, dilation, groups)
    function, most = ACTIVATIONS[activation].function, ACTIVATIONS[activation].most
    if ACTIVATIONS[activation].epilogue == 1 and _cudnn_serves(x, weight, groups):
        y = _with_relu(x, weight, bias, residual, *geometry)
        if y is not None:
            return y if most is None else y.clamp_max_(most)
    if _is_product(x, weight, padding, groups):
        y = _product(x, weight, bias, stride)
    else:
        y = F.conv2d(x, weight, bias, *geometry)
    return function(y if residual is None else y + residual)


def _on_cuda(x: Tensor) -> bool:
    """Whether to call NVIDIA's libraries; the compiler fuses by itself, and cannot trace them."""
    return x.is_cuda and torch.version.cuda is not None and not torch.compiler.is_compiling()


def _cudnn_serves(x: Tensor, weight: Tensor, groups: int) -> bool:
    """Whether cuDNN may take in ReLU, where PyTorch does not hold it to what is deterministic."""
    settings = torch.backends.cudnn
    return bool(
        _on_cuda(x)
        and type(x) is Tensor  # a fake one would be refused, and real ones of its shape then
        and groups == 1
        and x.dtype == weight.dtype
        and x.dtype in (torch.float32, *_SIXTEEN_BIT)
        and settings.is_available()  # type: ignore[no-untyped-call]
        and settings.enabled
        and not settings.deterministic
        and not torch.are_deterministic_algorithms_enabled()
    )


def _with_relu(
    x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, *geometry: Any
) -> Tensor | None:
    """relu(convolution + bias + residual), or None if cuDNN has no engine for it."""
    call = (
        x.device, x.dtype, x.shape, x.stride(), weight.shape, weight.stride(), geometry,
        residual is None,
    )  # fmt: skip
    if call in _refused:
        return None
    try:
        if residual is None:
            return torch.cudnn_convolution_relu(x, weight, bias, *geometry)
        return torch.cudnn_convolution_add_relu(x, weight, residual, 1, bias, *geometry)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        if len(_refused) >= _MOST_REFUSED:  # shapes that change without end
            _refused.clear()
        _refused.add(call)
    return None


def _is_product(x: Tensor, weight: Tensor, padding: Pair, groups: int) -> bool:
    """Whether it is a product of matrices as they lie in memory.

    In 16 bits: the precision of float32 has one setting for convolutions, another for products.
    """
    return (
        _on_cuda(x)
        and x.dtype in _SIXTEEN_BIT
        and weight.shape[2:] == (1, 1)
        and padding == (0, 0)
        and groups == 1
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def _product(x: Tensor, weight: Tensor, bias: Tensor, stride: Pair) -> Tensor:
    pixels = x[:, :, :: stride[0], :: stride[1]].permute(0, 2, 3, 1)
    rows = torch.addmm(bias, pixels.reshape(-1, x.shape[1]), weight.flatten(1).t())
    return rows.view(*pixels.shape[:3], weight.shape[0]).permute(0, 3, 1, 2)
