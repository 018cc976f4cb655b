"""Octave Convolution for PyTorch: import ``OctConv2d`` where you imported ``nn.Conv2d``."""

from . import checkpoints, cost, models, reference
from . import exported as _exported  # noqa: F401  (they register themselves)
from . import flops as _flops  # noqa: F401
from .decompositions import decompositions
from .functional import Explanation, explain, oct_conv2d
from .fused import FusedConv2d
from .fusion import fuse, fuse_convolutions
from .maps import (
    OctaveBatchNorm2d,
    OctaveMaps,
    OctaveMerge,
    OctaveSplit,
    PerPart,
    per_part,
    split_channels,
)
from .modules import OctConv2d

__version__ = "0.1.0"

__all__ = [
    "Explanation",
    "FusedConv2d",
    "OctConv2d",
    "OctaveBatchNorm2d",
    "OctaveMaps",
    "OctaveMerge",
    "OctaveSplit",
    "PerPart",
    "checkpoints",
    "cost",
    "decompositions",
    "explain",
    "fuse",
    "fuse_convolutions",
    "models",
    "oct_conv2d",
    "per_part",
    "reference",
    "split_channels",
]
