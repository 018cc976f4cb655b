"""The small octave network and the maps that the tests of the modules run."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from octconv_cuda import OctaveBatchNorm2d, OctaveMaps, OctConv2d, PerPart

compiled_sums = pytest.mark.skipif(
    torch.torch_version.TorchVersion(torch.__version__) < (2, 11),
    reason="torch 2.10's compiler takes OctaveMaps for tuples, whose sum is a longer one",
)


class Residual(nn.Module):
    """Convolution, normalisation and activation of a pair, plus the pair itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = OctConv2d(channels, channels, 3, bias=False)
        self.norm = OctaveBatchNorm2d(channels)
        self.act = PerPart(nn.SiLU())

    def forward(self, x: OctaveMaps) -> OctaveMaps:
        return self.act(self.norm(self.conv(x))) + x


class Network(nn.Module):
    """Each kind of layer once: alpha_in 0, a pair to a pair, stride 2, alpha_out 0.

    Smooth throughout, so that no rounding error can flip a gate.
    """

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OctConv2d(3, 8, 3, alpha_in=0),
            Residual(8),
            OctConv2d(8, 8, 3, stride=2),
            Residual(8),
            OctConv2d(8, 8, 1, alpha_out=0),
        )
        self.head = nn.Linear(8, classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image).mean((2, 3)))


def octave_maps(
    batch: int = 2,
    channels: tuple[int, int] = (4, 4),
    size: tuple[int, int] = (7, 6),
    dtype: torch.dtype = torch.float32,
) -> OctaveMaps:
    """A random pair; ``size`` is (H, W) of its high part."""
    high, low = channels
    half = (size[0] + 1) // 2, (size[1] + 1) // 2
    return OctaveMaps(
        torch.randn(batch, high, *size, dtype=dtype) if high else None,
        torch.randn(batch, low, *half, dtype=dtype) if low else None,
    )


def assert_maps_close(result: Any, expected: Any, **tolerance: float) -> None:
    parts = [(m, None) if isinstance(m, Tensor) else m for m in (result, expected)]
    for part, other in zip(*parts, strict=True):
        assert (part is None) == (other is None)
        if part is not None:
            torch.testing.assert_close(part, other, **tolerance)


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Of all parameters, which must have one; clears them."""
    result = {}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        result[name], parameter.grad = parameter.grad, None
    return result


def assert_same_maps(result: Any, expected: tuple[Any, Any]) -> None:
    """Raises unless ``result`` is OctaveMaps with the very values of ``expected``."""
    assert type(result) is OctaveMaps
    for part, other in zip(result, expected, strict=True):
        assert (part is None) == (other is None)
        assert part is None or torch.equal(part, other)


def type_name(value: object) -> str:
    """For the names of tests and the texts of errors."""
    return type(value).__name__
