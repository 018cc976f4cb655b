"""Octave ResNets, ResNeXts and SE-ResNets (Chen et al. 2019, section 4).

The stem is vanilla; the stages at 56, 28 and 14 pixels (of 224) run at alpha; the first block of
the last stage takes the pair and gives a tensor. ``variant`` is where batch norm and ReLU stand:
"v2" before each convolution (He et al. 2016, "Identity mappings"; the paper's ablation), "v1"
behind it, with the module names of torchvision's ResNet. The convolutions, hence the multiply-adds,
are the same in both.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..fusion import fuse_convolution, fuse_convolutions
from ..maps import Maps, OctaveMaps
from ..problem import check_alpha, check_count
from .blocks import (
    Alphas,
    SqueezeExcitation,
    activation,
    conv2d,
    initialize,
    norm2d,
)
from .fused import FusedBottleneck

__all__ = [
    "BottleneckV1",
    "BottleneckV2",
    "OctResNet",
    "oct_resnet26",
    "oct_resnet50",
    "oct_resnet101",
    "oct_resnet152",
    "oct_resnet200",
    "oct_resnext50_32x4d",
    "oct_resnext101_32x4d",
    "oct_se_resnet50",
]


class _Bottleneck(nn.Module):
    """The convolutions of both variants: 1x1 to the width, 3x3, 1x1 out of it.

    Args:
        in_channels, width, out_channels: Channels before, within and behind the block.
        stride, groups: Of the 3x3 convolution.
        alphas: Shares of low channels in the input, and in all that follows; None: vanilla.
        se: Whether squeeze-and-excitation follows the last convolution.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        *,
        stride: int = 1,
        groups: int = 1,
        alphas: Alphas | None = None,
        se: bool = False,
    ) -> None:
        super().__init__()
        alpha = None if alphas is None else alphas[1]
        inner = None if alpha is None else (alpha, alpha)
        self.conv1 = conv2d(in_channels, width, 1, alphas=alphas)
        self.conv2 = conv2d(width, width, 3, stride, groups, alphas=inner)
        self.conv3 = conv2d(width, out_channels, 1, alphas=inner)
        self.se = SqueezeExcitation(out_channels, alpha) if se else None
        self.relu = activation(nn.ReLU(inplace=True), alpha)
        self.downsample: nn.Sequential | None = None
        self.add_norms((in_channels, width, out_channels), stride, alphas)

    def add_norms(self, channels: tuple[int, int, int], stride: int, alphas: Alphas | None) -> None:
        """Adds the variant's norms, and the projection of the shortcut where one is needed."""
        raise NotImplementedError

    def shortcut(self, x: Maps) -> Any:
        """The input itself, or its projection where the block changes its shape."""
        return x if self.downsample is None else self.downsample(x)

    def scaled(self, x: Any) -> Any:
        """The branch's result behind squeeze-and-excitation, if there is one."""
        return x if self.se is None else self.se(x)


class BottleneckV1(_Bottleneck):
    """Convolution, norm, ReLU; the last ReLU behind the sum."""

    def add_norms(self, channels: tuple[int, int, int], stride: int, alphas: Alphas | None) -> None:
        """Norms behind the convolutions."""
        in_channels, width, out_channels = channels
        alpha = None if alphas is None else alphas[1]
        self.bn1 = norm2d(width, alpha)
        self.bn2 = norm2d(width, alpha)
        self.bn3 = norm2d(out_channels, alpha)
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                conv2d(in_channels, out_channels, 1, stride, alphas=alphas),
                norm2d(out_channels, alpha),
            )

    def forward(self, x: Maps) -> Tensor | OctaveMaps:
        """The block's output, a tensor where it has no low channels."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.scaled(self.bn3(self.conv3(y)))
        return self.relu(y + self.shortcut(x))  # type: ignore[no-any-return]

    def fused(self) -> nn.Module:
        """Convolutions with norm and ReLU, the last with the sum; itself if its parts differ."""
        convolutions = fuse_convolutions(
            (self.conv1, self.bn1, self.relu),
            (self.conv2, self.bn2, self.relu),
            (self.conv3, self.bn3, self.relu if self.se is None else None),
        )
        return FusedBottleneck(self, *convolutions) if convolutions else self


class BottleneckV2(_Bottleneck):
    """Norm, ReLU, convolution; the sum is all that follows."""

    def add_norms(self, channels: tuple[int, int, int], stride: int, alphas: Alphas | None) -> None:
        """Norms before the convolutions."""
        in_channels, width, out_channels = channels
        alpha_in, alpha = (None, None) if alphas is None else alphas
        self.bn1 = norm2d(in_channels, alpha_in)
        self.bn2 = norm2d(width, alpha)
        self.bn3 = norm2d(width, alpha)
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                norm2d(in_channels, alpha_in),
                activation(nn.ReLU(inplace=True), alpha_in),
                conv2d(in_channels, out_channels, 1, stride, alphas=alphas),
            )

    def forward(self, x: Maps) -> Tensor | OctaveMaps:
        """The block's output, a tensor where it has no low channels."""
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        y = self.conv3(self.relu(self.bn3(y)))
        return self.scaled(y) + self.shortcut(x)  # type: ignore[no-any-return]

    def fused(self) -> nn.Module:
        """Convolutions with the norm and ReLU before the next; itself if its parts differ."""
        convolutions = fuse_convolutions(
            (self.conv1, self.bn2, self.relu),
            (self.conv2, self.bn3, self.relu),
            (self.conv3, None, None),
        )
        before = nn.Sequential(self.bn1, self.relu)
        return FusedBottleneck(self, *convolutions, before=before) if convolutions else self


class OctResNet(nn.Module):
    """An octave ResNet of four stages of bottleneck blocks.

    Args:
        blocks: How many in each stage.
        alpha: Share of low channels in the first three stages; 0: the vanilla twin.
        variant: "v2" (pre-activation) or "v1" (post-activation).
        groups, width_factor: Of the 3x3 convolutions; 32 and 2 make a ResNeXt 32x4d.
        se: Squeeze-and-excitation in each block.
        num_classes: Outputs of the classifier.

    Raises:
        TypeError: alpha is no number, the counts are no ints.
        ValueError: alpha outside [0, 1], another variant, no stages, counts below 1, groups
            that no split allows.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        alpha: float = 0.5,
        *,
        variant: str = "v2",
        groups: int = 1,
        width_factor: int = 1,
        se: bool = False,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        check_alpha("OctResNet", alpha)
        if variant not in ("v1", "v2"):
            raise ValueError(f"OctResNet: variant must be 'v1' or 'v2', got {variant!r}")
        if not isinstance(blocks, (tuple, list)):
            raise TypeError(f"OctResNet: blocks must be a count for each stage, got {blocks!r}")
        if not blocks:
            raise ValueError("OctResNet: blocks must have at least one stage, got none")
        counts = {f"blocks[{i}]": count for i, count in enumerate(blocks)}
        counts |= {"groups": groups, "width_factor": width_factor, "num_classes": num_classes}
        for name, number in counts.items():
            check_count("OctResNet", name, number)
        block = BottleneckV1 if variant == "v1" else BottleneckV2
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels, alpha_in = 64, 0.0
        for stage, count in enumerate(blocks):
            alpha_out = alpha if stage < len(blocks) - 1 else 0.0
            layers = []
            for i in range(count):
                layers.append(
                    block(
                        channels,
                        64 * width_factor * 2**stage,
                        256 * 2**stage,
                        stride=2 if stage and not i else 1,
                        groups=groups,
                        alphas=(alpha_in, alpha_out) if alpha else None,
                        se=se,
                    )
                )
                channels, alpha_in = 256 * 2**stage, alpha_out
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        self.norm = nn.BatchNorm2d(channels) if variant == "v2" else None
        self.fc = nn.Linear(channels, num_classes)
        initialize(self)

    def _stem(self, image: Tensor) -> Any:
        """(N, 3, H, W) to what the first stage takes, (N, 64, ceil(H/4), ceil(W/4))."""
        return self.maxpool(self.relu(self.bn1(self.conv1(image))))

    def stage_maps(self, image: Tensor) -> list[Maps]:
        """(N, 3, H, W) to the map behind each stage, for pyramids: the last one is a tensor.

        Those of "v2" are sums, which no norm has seen yet.
        """
        maps: list[Maps] = [self._stem(image)]
        for stage in range(self.stages):
            maps.append(getattr(self, f"layer{stage + 1}")(maps[-1]))
        return maps[1:]

    def features(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to the last stage's map, (N, C, ceil(H/32), ceil(W/32))."""
        x = self._stem(image)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x if self.norm is None else self.norm(x).relu_()  # type: ignore[no-any-return]

    def fused(self) -> nn.Module:
        """The network itself, its stem as one layer."""
        stem = fuse_convolution(self.conv1, self.bn1, self.relu)
        if stem is not None:
            self.conv1 = stem  # type: ignore[assignment]
            self.bn1 = self.relu = nn.Identity()  # type: ignore[assignment]
        return self

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, num_classes)."""
        return self.fc(self.features(image).mean((2, 3)))  # type: ignore[no-any-return]


def oct_resnet26(alpha: float = 0.5, *, variant: str = "v2", num_classes: int = 1000) -> OctResNet:
    """ResNet-26 with bottleneck blocks; see ``OctResNet``."""
    return OctResNet((2, 2, 2, 2), alpha, variant=variant, num_classes=num_classes)


def oct_resnet50(alpha: float = 0.5, *, variant: str = "v2", num_classes: int = 1000) -> OctResNet:
    """ResNet-50; see ``OctResNet``."""
    return OctResNet((3, 4, 6, 3), alpha, variant=variant, num_classes=num_classes)


def oct_resnet101(alpha: float = 0.5, *, variant: str = "v2", num_classes: int = 1000) -> OctResNet:
    """ResNet-101; see ``OctResNet``."""
    return OctResNet((3, 4, 23, 3), alpha, variant=variant, num_classes=num_classes)


def oct_resnet152(alpha: float = 0.5, *, variant: str = "v2", num_classes: int = 1000) -> OctResNet:
    """ResNet-152; see ``OctResNet``."""
    return OctResNet((3, 8, 36, 3), alpha, variant=variant, num_classes=num_classes)


def oct_resnet200(alpha: float = 0.5, *, variant: str = "v2", num_classes: int = 1000) -> OctResNet:
    """ResNet-200; see ``OctResNet``."""
    return OctResNet((3, 24, 36, 3), alpha, variant=variant, num_classes=num_classes)


def oct_resnext50_32x4d(
    alpha: float = 0.5, *, variant: str = "v2", num_classes: int = 1000
) -> OctResNet:
    """ResNeXt-50 32x4d; see ``OctResNet``."""
    return OctResNet(
        (3, 4, 6, 3), alpha, variant=variant, groups=32, width_factor=2, num_classes=num_classes
    )


def oct_resnext101_32x4d(
    alpha: float = 0.5, *, variant: str = "v2", num_classes: int = 1000
) -> OctResNet:
    """ResNeXt-101 32x4d; see ``OctResNet``."""
    return OctResNet(
        (3, 4, 23, 3), alpha, variant=variant, groups=32, width_factor=2, num_classes=num_classes
    )


def oct_se_resnet50(
    alpha: float = 0.5, *, variant: str = "v2", num_classes: int = 1000
) -> OctResNet:
    """SE-ResNet-50; see ``OctResNet``."""
    return OctResNet((3, 4, 6, 3), alpha, variant=variant, se=True, num_classes=num_classes)
