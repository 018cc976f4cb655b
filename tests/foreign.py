"""Octave layers and a network as other implementations have them: four convolutions and a norm.

They compute with PyTorch's own operators, and give their state under the names of each scheme.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]
Paths = dict[str, Tensor]


class FourConvolutions(nn.Module):
    """The layer of a public implementation; paths are named by from where to where, h and l.

    ``biases`` are the paths that have one.
    """

    def __init__(
        self,
        channels_in: Pair,
        channels_out: Pair,
        kernel: int = 3,
        stride: int = 1,
        biases: tuple[str, ...] = (),
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.paths = nn.ModuleDict()
        depthwise = 1 < groups == sum(channels_in)
        for a, c_in in zip("hl", channels_in, strict=True):
            for b, c_out in zip("hl", channels_out, strict=True):
                if c_in and c_out and (a == b or not depthwise):
                    own_groups = c_in if depthwise else groups
                    self.paths[a + b] = nn.Conv2d(
                        c_in, c_out, kernel, padding=kernel // 2, groups=own_groups,
                        bias=a + b in biases,
                    )  # fmt: skip

    def forward(self, x: Tensor | tuple[Tensor, Tensor]) -> list[Tensor | None]:
        """[high, low], None where absent."""
        high, low = (x, None) if isinstance(x, Tensor) else x
        if self.stride == 2:
            high = F.avg_pool2d(high, 2)
        terms: dict[str, list[Tensor]] = {"h": [], "l": []}
        for path, conv in self.paths.items():
            if path[0] == "h":
                terms[path[1]].append(conv(high if path[1] == "h" else F.avg_pool2d(high, 2)))
            elif path == "lh":
                y = conv(low)
                terms["h"].append(y if self.stride == 2 else F.interpolate(y, scale_factor=2))
            else:
                terms["l"].append(conv(F.avg_pool2d(low, 2) if self.stride == 2 else low))
        return [sum(parts[1:], parts[0]) if parts else None for parts in terms.values()]

    def state(self, form: str | Callable[[str], str], ending: bool = True) -> Paths:
        """Under names such as "conv_{a}2{b}", or those that a function gives a path."""
        name = form if callable(form) else lambda p: spelled(form, p)
        state = {}
        for path, conv in self.paths.items():
            state[name(path) + (".weight" if ending else "")] = conv.weight.detach()
            if conv.bias is not None:
                state[f"{name(path)}.bias"] = conv.bias.detach()
        return state


def spelled(form: str, path: str) -> str:
    a, b = path
    return form.format(a=a, b=b, A=a.upper(), B=b.upper())


class ConvolutionNorm(nn.Module):
    """A four-convolution layer and a norm for each part, under conv, bn_h and bn_l."""

    def __init__(self, channels_in: Pair, channels_out: Pair, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = FourConvolutions(channels_in, channels_out, kernel, stride)
        self.bn_h, self.bn_l = (nn.BatchNorm2d(c) if c else None for c in channels_out)

    def forward(self, x: Tensor | list[Tensor | None]) -> list[Tensor | None]:
        if not isinstance(x, Tensor) and x[1] is None:
            x = x[0]
        parts = zip(self.conv(x), (self.bn_h, self.bn_l), strict=True)
        return [None if part is None else norm(part) for part, norm in parts]


class Block(nn.Module):
    """A post-activation bottleneck; ``within`` and ``out`` are the shares of low channels."""

    def __init__(
        self, c_in: Pair, width: Pair, width2: Pair, c_out: Pair, stride: int, project: bool
    ) -> None:
        super().__init__()
        self.conv1 = ConvolutionNorm(c_in, width, 1)
        self.conv2 = ConvolutionNorm(width, width2, 3, stride)
        self.conv3 = ConvolutionNorm(width2, c_out, 1)
        self.downsample = (
            nn.Sequential(ConvolutionNorm(c_in, c_out, 1, stride)) if project else None
        )

    def forward(self, x: Tensor | list[Tensor | None]) -> list[Tensor | None]:
        y = relu(self.conv2(relu(self.conv1(x))))
        y = self.conv3(y)
        shortcut = [x, None] if isinstance(x, Tensor) else x
        if self.downsample is not None:
            shortcut = self.downsample(x)
        return relu([None if a is None else a + b for a, b in zip(y, shortcut, strict=True)])


def relu(parts: list[Tensor | None]) -> list[Tensor | None]:
    return [None if part is None else part.relu() for part in parts]


class Network(nn.Module):
    """An octave ResNet-26 at alpha 0.5 with the keys of the public PyTorch weights.

    ``late``: the first block of the last stage stays octave up to its last convolution.
    """

    def __init__(self, late: bool = False, classes: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        before: Pair = (64, 0)
        for stage in range(4):
            width, out = 64 * 2**stage, 256 * 2**stage
            blocks = []
            for i in range(2):
                inner = second = halves(width)
                outer = halves(out)
                if stage == 3:
                    outer = (out, 0)
                    if not (late and i == 0):
                        inner = second = (width, 0)
                blocks.append(
                    Block(before, inner, second, outer, 2 if stage and not i else 1, not i)
                )
                before = outer
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(2048, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(self.bn1(self.conv1(image)).relu(), 3, 2, 1)
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x[0].mean((2, 3)))

    def names(self) -> dict[str, Tensor]:
        """The state with conv_h2h, ... where this file's modules say paths.hh."""
        return {
            key.replace(".paths.", ".conv_")
            .replace("conv_hh", "conv_h2h")
            .replace("conv_hl", "conv_h2l")
            .replace("conv_lh", "conv_l2h")
            .replace("conv_ll", "conv_l2l"): value
            for key, value in self.state_dict().items()
        }


def halves(channels: int) -> Pair:
    return channels // 2, channels // 2


def randomized(network: nn.Module) -> nn.Module:
    """In evaluation mode, its norms with statistics and factors that differ from their start."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            if module.running_mean is not None:
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def merged(layer: FourConvolutions) -> Tensor:
    """One weight with high rows and columns first."""
    w = {path: conv.weight.detach() for path, conv in layer.paths.items()}
    rows = [torch.cat([w[a + b] for a in "hl" if a + b in w], 1) for b in "hl" if f"h{b}" in w]
    return torch.cat(rows)
