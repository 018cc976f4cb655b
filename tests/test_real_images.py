"""A photograph through a small octave network: smooth areas, edges and large means, not noise."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle import assert_accurate
from torch import Tensor, nn

from octconv_cuda import OctaveMaps, OctaveMerge, OctConv2d, PerPart, reference

cbook = pytest.importorskip("matplotlib.cbook", reason="matplotlib carries the photograph")
image_module = pytest.importorskip("PIL.Image", reason="Pillow reads it")


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    """Two crops of it, (2, 3, 151, 113) in [0, 1]: both sizes odd, at every stride below."""
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        picture = image_module.open(file).convert("RGB")
        crops = [picture.crop((x, y, x + 226, y + 302)) for x, y in ((140, 30), (60, 280))]
        small = [crop.resize((113, 151)) for crop in crops]
    pixels = [torch.frombuffer(bytearray(crop.tobytes()), dtype=torch.uint8) for crop in small]
    images = torch.stack(pixels).reshape(2, 151, 113, 3).permute(0, 3, 1, 2)
    assert images.float().std() > 30, "not a picture"
    return images / 255


def build() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(
        OctConv2d(3, 8, 7, alpha_in=0),
        PerPart(nn.SiLU()),
        OctConv2d(8, 12, 3, stride=2),
        PerPart(nn.SiLU()),
        OctConv2d(12, 12, 3),
        OctaveMerge(),
        nn.Conv2d(12, 4, 1),
    )


def composed(layer: OctConv2d, x: Any) -> Any:
    """The layer from PyTorch's operators alone."""
    high, low = (x, None) if isinstance(x, Tensor) else x
    result = reference.oct_conv2d(
        high, low, layer.weight, layer.bias, layer.out_split[0], stride=layer.stride[0]
    )
    return OctaveMaps(*result)


def results(
    network: nn.Sequential, image: Tensor, run: Callable[[OctConv2d, Any], Any] | None
) -> list[Tensor]:
    """Each octave layer's outputs, then the gradients of all parameters and of the image."""
    image = image.clone().requires_grad_()
    found: list[Tensor] = []
    x: Any = image
    for layer in network:
        if isinstance(layer, OctConv2d):
            x = run(layer, x) if run else layer(x)
            found += [part.detach() for part in x]
        else:
            x = layer(x)
    x.square().mean().backward()
    return [*found, image.grad, *(parameter.grad for parameter in network.parameters())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_photograph(photograph: Tensor, dtype: torch.dtype) -> None:
    network = build().to(dtype)
    beside, ideal = copy.deepcopy(network), copy.deepcopy(network).double()
    image = photograph.to(dtype)
    ours = results(network, image, None)
    theirs = results(beside, image, composed)
    exact = results(ideal, image.double(), composed)
    assert len(ours) == 6 + 1 + 8
    for result, other, value in zip(ours, theirs, exact, strict=True):
        assert_accurate(result, other, value)
