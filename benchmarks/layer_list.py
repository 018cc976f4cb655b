"""The layers that are timed: what ResNet-50, VGG-16 and a diffusion U-Net are made of.

All have stride 1 and "same" padding. The batches go from latency at batch 1 to training.
"""

import argparse
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["ALPHAS", "HEADLINE_ALPHA", "LAYERS", "Layer", "batch_word"]

ALPHAS = (0.125, 0.25, 0.5, 0.75)
HEADLINE_ALPHA = 0.5


class Layer(NamedTuple):
    """A convolution of ``in_channels`` to ``out_channels`` on images of (H, W) = size pixels."""

    name: str
    size: tuple[int, int]
    in_channels: int
    out_channels: int
    kernel_size: int
    batches: tuple[int, ...]
    headline_batch: int

    def batches_of(self, words: Iterable[str]) -> list[int]:
        """The batches of this layer that are meant by words that ``batch_word`` lets pass."""
        named = {"headline": (self.headline_batch,), "all": self.batches}
        return list(dict.fromkeys(b for word in words for b in named.get(word) or (int(word),)))


def batch_word(text: str) -> str:
    """An argument of a command line: a batch, or a word for batches of each layer."""
    if text not in ("headline", "all") and not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a number, headline or all, got {text}")
    return text


LAYERS = (
    Layer("resnet 3x3 56", (56, 56), 64, 64, 3, (1, 32, 256), 256),
    Layer("resnet 3x3 28", (28, 28), 128, 128, 3, (1, 32, 256), 256),
    Layer("resnet 3x3 14", (14, 14), 256, 256, 3, (1, 32, 256), 256),
    Layer("resnet 1x1 56 expand", (56, 56), 64, 256, 1, (1, 32, 256), 256),
    Layer("resnet 1x1 56 reduce", (56, 56), 256, 64, 1, (1, 32, 256), 256),
    Layer("resnet 1x1 28 expand", (28, 28), 128, 512, 1, (1, 32, 256), 256),
    Layer("resnet 1x1 14 reduce", (14, 14), 1024, 256, 1, (1, 32, 256), 256),
    Layer("unet 3x3 64", (64, 64), 320, 320, 3, (2, 8, 32), 8),
    Layer("unet 3x3 256", (256, 256), 64, 64, 3, (1, 8, 32), 8),
    Layer("unet 3x3 32", (32, 32), 640, 640, 3, (2, 8, 32), 8),
    Layer("vgg 3x3 112", (112, 112), 128, 128, 3, (1, 32, 128), 32),
    Layer("vgg 3x3 28", (28, 28), 512, 512, 3, (1, 32, 128), 32),
)
