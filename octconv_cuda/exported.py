"""The operator that exported programs call: as the layer, with autocast and derivatives.

The others compute what they are asked for, in the dtype of their operands, and autograd does not
see into them: tracing would leave behind what ``call`` and ``autograd`` do around them.
"""

import torch
from torch import Tensor

from . import autograd
from .call import allow_tf32, autocast, insist, transform
from .decompositions import plain_forward
from .problem import KERNEL_FAMILIES, Pair, check_family

__all__ = ["oct_conv2d"]


def oct_conv2d(
    x_high: Tensor | None,
    x_low: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    high_out: int,
    size: Pair,
    stride: int,
    family: str = "",
) -> tuple[Tensor, Tensor]:
    """``forward`` in autocast's dtype, differentiable to any order.

    Args:
        x_high: As of ``forward``, like all that follows.
        x_low: Likewise.
        weight: Likewise.
        bias: Likewise.
        high_out: Likewise.
        size: Likewise.
        stride: Likewise.
        family: Likewise.

    Raises:
        ValueError: Another family; one for a device without kernels, or within a transform.
    """
    check_family("octconv_cuda::oct_conv2d", family or None)
    if family in KERNEL_FAMILIES:
        insist("octconv_cuda::oct_conv2d", family, weight.device, transform())
    tensors = (x_high, x_low, weight, bias)
    x_high, x_low, weight, bias = autocast(weight.device.type, *tensors)
    call = (high_out, size, stride, allow_tf32(weight), family)
    if transform():
        return plain_forward(x_high, x_low, weight, bias, *call)
    return autograd.forward((x_high, x_low), weight, bias, *call)


_registration = torch.library.Library("octconv_cuda", "IMPL")  # type: ignore[no-untyped-call]
# The latter for vmap, which would loop over the samples else.
for _key in ("CompositeImplicitAutograd", "FuncTorchBatchedDecomposition"):
    _registration.impl("oct_conv2d", oct_conv2d, _key)  # type: ignore[no-untyped-call]
