"""Octave networks with the authors' placement of octave layers, and their vanilla twins.

``alpha`` is the share of low channels; 0 gives the twin, made of ``nn.Conv2d`` and
``nn.BatchNorm2d``. The low resolution ends where maps would become too small for it: ResNets run
their last stage, MobileNets their last blocks at full resolution only.
"""

from .blocks import SqueezeExcitation
from .mobilenet import MobileNetV1, MobileNetV2, oct_mobilenet_v1, oct_mobilenet_v2
from .resnet import (
    OctResNet,
    oct_resnet26,
    oct_resnet50,
    oct_resnet101,
    oct_resnet152,
    oct_resnet200,
    oct_resnext50_32x4d,
    oct_resnext101_32x4d,
    oct_se_resnet50,
)

__all__ = [
    "MobileNetV1",
    "MobileNetV2",
    "OctResNet",
    "SqueezeExcitation",
    "oct_mobilenet_v1",
    "oct_mobilenet_v2",
    "oct_resnet26",
    "oct_resnet50",
    "oct_resnet101",
    "oct_resnet152",
    "oct_resnet200",
    "oct_resnext50_32x4d",
    "oct_resnext101_32x4d",
    "oct_se_resnet50",
]
