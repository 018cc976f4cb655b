"""Octave MobileNets (Chen et al. 2019, section 4.3) with the placement of the authors' code."""

from torch import Tensor, nn

from ..fusion import fuse_convolutions
from ..maps import Maps, OctaveMaps
from ..problem import check_alpha, check_count
from .blocks import (
    Alphas,
    activation,
    check_width,
    conv2d,
    initialize,
    norm2d,
)
from .fused import FusedResidual

__all__ = [
    "DepthwiseSeparable",
    "InvertedResidual",
    "MobileNetV1",
    "MobileNetV2",
    "oct_mobilenet_v1",
    "oct_mobilenet_v2",
]


def _stem(channels: int, relu: nn.Module) -> nn.Sequential:
    return nn.Sequential(conv2d(3, channels, 3, 2), nn.BatchNorm2d(channels), relu)


class DepthwiseSeparable(nn.Module):
    """A depthwise 3x3 convolution and a 1x1 one, each with norm and ReLU.

    Args:
        in_channels, out_channels: Channels before and behind the block.
        stride: Of the depthwise convolution.
        alphas: Shares of low channels in the input and in the output; None: vanilla.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, alphas: Alphas | None
    ) -> None:
        super().__init__()
        alpha_in, alpha_out = (None, None) if alphas is None else alphas
        inner = None if alpha_in is None else (alpha_in, alpha_in)
        self.conv1 = conv2d(in_channels, in_channels, 3, stride, in_channels, alphas=inner)
        self.bn1 = norm2d(in_channels, alpha_in)
        self.conv2 = conv2d(in_channels, out_channels, 1, alphas=alphas)
        self.bn2 = norm2d(out_channels, alpha_out)
        self.relu = activation(nn.ReLU(inplace=True), alpha_in)

    def forward(self, x: Maps) -> Tensor | OctaveMaps:
        """The block's output, a tensor where it has no low channels."""
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)))  # type: ignore[no-any-return]

    def fused(self) -> nn.Module:
        """What ``fuse`` puts in the block's place; itself if its parts differ."""
        convolutions = fuse_convolutions(
            (self.conv1, self.bn1, self.relu), (self.conv2, self.bn2, self.relu)
        )
        return nn.Sequential(*convolutions) if convolutions else self


class MobileNetV1(nn.Module):
    """MobileNetV1 (Howard et al. 2017): octave from the first block's 1x1 to the eleventh's.

    Args:
        alpha: Share of low channels; 0: the vanilla twin.
        width: Factor of all channel counts.
        num_classes: Outputs of the classifier.

    Raises:
        TypeError: alpha or width is no number, num_classes no int.
        ValueError: alpha outside [0, 1], a width that leaves no channels, no classes.
    """

    def __init__(self, alpha: float = 0.5, *, width: float = 1.0, num_classes: int = 1000) -> None:
        super().__init__()
        check_alpha("MobileNetV1", alpha)
        check_width("MobileNetV1", width, 32)
        check_count("MobileNetV1", "num_classes", num_classes)
        channels = [
            int(c * width) for c in (32, 64, *[128] * 2, *[256] * 2, *[512] * 6, 1024, 1024)
        ]
        strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
        alphas = [0.0, *[alpha] * 10, 0.0, 0.0, 0.0]
        self.features = nn.Sequential(_stem(channels[0], nn.ReLU(inplace=True)))
        for i, stride in enumerate(strides):
            between = (alphas[i], alphas[i + 1]) if alpha else None
            self.features.append(DepthwiseSeparable(channels[i], channels[i + 1], stride, between))
        self.fc = nn.Linear(channels[-1], num_classes)
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, num_classes)."""
        return self.fc(self.features(image).mean((2, 3)))  # type: ignore[no-any-return]


class InvertedResidual(nn.Module):
    """A 1x1 convolution to more channels, a depthwise 3x3 and a 1x1 back, without a last ReLU.

    Args:
        in_channels, width, out_channels: Channels before, within and behind the block.
        stride: Of the depthwise convolution.
        alpha: Share of low channels within; what goes in and out is a tensor. None: vanilla.
    """

    def __init__(
        self, in_channels: int, width: int, out_channels: int, stride: int, alpha: float | None
    ) -> None:
        super().__init__()
        into, within, back = (
            (None, None, None) if alpha is None else ((0, alpha), (alpha, alpha), (alpha, 0))
        )
        self.conv1 = conv2d(in_channels, width, 1, alphas=into)
        self.bn1 = norm2d(width, alpha)
        self.conv2 = conv2d(width, width, 3, stride, width, alphas=within)
        self.bn2 = norm2d(width, alpha)
        self.conv3 = conv2d(width, out_channels, 1, alphas=back)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = activation(nn.ReLU6(inplace=True), alpha)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the block's output."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return x + y if self.residual else y  # type: ignore[no-any-return]

    def fused(self) -> nn.Module:
        """What ``fuse`` puts in the block's place; itself if its parts differ."""
        convolutions = fuse_convolutions(
            (self.conv1, self.bn1, self.relu),
            (self.conv2, self.bn2, self.relu),
            (self.conv3, self.bn3, None),
        )
        if not convolutions:
            return self
        return FusedResidual(*convolutions) if self.residual else nn.Sequential(*convolutions)


class MobileNetV2(nn.Module):
    """MobileNetV2 (Sandler et al. 2018), octave within the first 13 of its 17 blocks.

    As in the authors' code the first block has a 1x1 convolution before its depthwise one.

    Args:
        alpha: Share of low channels; 0: the vanilla twin.
        width: Factor of all channel counts; the authors' are 1 and 1.125.
        num_classes: Outputs of the classifier.

    Raises:
        TypeError: alpha or width is no number, num_classes no int.
        ValueError: alpha outside [0, 1], a width that leaves no channels, no classes.
    """

    def __init__(self, alpha: float = 0.5, *, width: float = 1.0, num_classes: int = 1000) -> None:
        super().__init__()
        check_alpha("MobileNetV2", alpha)
        check_width("MobileNetV2", width, 16)
        check_count("MobileNetV2", "num_classes", num_classes)
        # (factor of the width within, channels, blocks, stride of the first block)
        plan = (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
            (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
        )  # fmt: skip
        c_in = int(32 * width)
        self.features = nn.Sequential(_stem(c_in, nn.ReLU6(inplace=True)))
        for factor, channels, count, first_stride in plan:
            c_out = int(channels * width)
            share = (alpha if channels < 160 else 0.0) if alpha else None
            for i in range(count):
                stride = 1 if i else first_stride
                self.features.append(InvertedResidual(c_in, factor * c_in, c_out, stride, share))
                c_in = c_out
        last = int(1280 * max(width, 1.0))
        self.features.append(
            nn.Sequential(conv2d(c_in, last, 1), nn.BatchNorm2d(last), nn.ReLU6(inplace=True))
        )
        self.fc = nn.Linear(last, num_classes)
        initialize(self)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, num_classes)."""
        return self.fc(self.features(image).mean((2, 3)))  # type: ignore[no-any-return]


def oct_mobilenet_v1(
    alpha: float = 0.5, *, width: float = 1.0, num_classes: int = 1000
) -> MobileNetV1:
    """See ``MobileNetV1``."""
    return MobileNetV1(alpha, width=width, num_classes=num_classes)


def oct_mobilenet_v2(
    alpha: float = 0.5, *, width: float = 1.0, num_classes: int = 1000
) -> MobileNetV2:
    """See ``MobileNetV2``."""
    return MobileNetV2(alpha, width=width, num_classes=num_classes)
