"""The activations that fused convolutions end with, by their names."""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "Activation"]


class Activation(NamedTuple):
    """What serves an activation where.

    Attributes:
        module: The class whose instances, however they were made, all compute just that.
        function: The same of a tensor.
        epilogue: The number that ``octconv_cuda::inference`` takes for it; 1 is ReLU.
        onednn: Name and numbers of it in oneDNN's fused convolutions.
        most: What values are clamped to behind that epilogue, or None.
    """

    module: type[nn.Module]
    function: Callable[[Tensor], Tensor]
    epilogue: int
    onednn: tuple[str, list[float]]
    most: float | None = None


ACTIVATIONS = {
    "": Activation(nn.Identity, lambda y: y, 0, ("none", [])),
    "relu": Activation(nn.ReLU, F.relu, 1, ("relu", [])),
    "silu": Activation(nn.SiLU, F.silu, 2, ("swish", [])),
    "relu6": Activation(nn.ReLU6, F.relu6, 1, ("hardtanh", [0.0, 6.0]), most=6.0),
}
