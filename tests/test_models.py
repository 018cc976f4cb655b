"""The networks: multiply-adds of the authors' ones, placement, twins, shapes, gradients."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import gradients
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from octconv_cuda import OctaveMaps, OctConv2d, models

TABLE = json.loads(Path(__file__).with_name("paper.json").read_text())
ALL = [name for name in models.__all__ if name.startswith("oct_")]
RESNETS = [name for name in ALL if "res" in name]


def gmacs(network: nn.Module, pixels: int = 224) -> float:
    for module in network.modules():  # takes three quarters of the time and multiplies nothing
        if isinstance(module, nn.BatchNorm2d):
            module.forward = nn.Identity().forward
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.empty(1, 3, pixels, pixels, device="meta"))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize(
    ("name", "variant"), [*((name, "v2") for name in TABLE["gmacs"]), ("resnet50", "v1")]
)
def test_multiply_adds_are_those_of_the_table(name: str, variant: str) -> None:
    for alpha, expected in zip(TABLE["alpha"], TABLE["gmacs"][name], strict=True):
        with torch.device("meta"):
            network = getattr(models, f"oct_{name}")(alpha, variant=variant)
        assert round(gmacs(network), 2) == expected, alpha


@pytest.mark.parametrize("row", TABLE["mobilenets"], ids=str)
def test_multiply_adds_of_mobilenets(row: dict[str, Any]) -> None:
    """The authors' README; they seem to count more than the products, by up to 4 %."""
    with torch.device("meta"):
        network = getattr(models, row["name"])(row["alpha"], width=row["width"])
    millions = 1000 * gmacs(network)
    assert 0.96 * row["millions"] < millions <= 1.005 * row["millions"]


@pytest.mark.parametrize("name", ALL)
def test_alpha_0_is_vanilla(name: str) -> None:
    with torch.device("meta"):
        twin, octave = (getattr(models, name)(alpha) for alpha in (0, 0.5))
    kinds = {type(m).__module__.partition(".")[0] for m in twin.modules() if not [*m.children()]}
    assert kinds == {"torch"}
    assert any(isinstance(m, OctConv2d) for m in octave.modules())
    # The same shapes: a vanilla convolution's weights load.
    shapes = [
        {key: value.shape for key, value in network.named_parameters() if value.dim() > 1}
        for network in (twin, octave)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("size", [(64, 64), (49, 71)])
@pytest.mark.parametrize("name", ["oct_resnet26", "oct_mobilenet_v1", "oct_mobilenet_v2"])
def test_runs_and_trains_at_any_size(name: str, size: tuple[int, int]) -> None:
    network = getattr(models, name)(0.5, num_classes=5)
    y = network(torch.randn(2, 3, *size))
    assert y.shape == (2, 5)
    y.square().sum().backward()
    assert all(torch.isfinite(g).all() for g in gradients(network).values())


@pytest.mark.parametrize("variant", ["v1", "v2"])
@pytest.mark.parametrize("name", RESNETS)
def test_placement(name: str, variant: str) -> None:
    """Stages at 1/4, 1/8 and 1/16 give pairs, the last one tensors."""
    with torch.device("meta"):
        network = getattr(models, name)(0.25, variant=variant).eval()
    seen: dict[str, Any] = {}
    for stage in range(1, 5):
        layer = getattr(network, f"layer{stage}")
        layer.register_forward_hook(lambda m, i, o, stage=stage: seen.update({stage: o}))
    network(torch.empty(2, 3, 64, 64, device="meta"))
    for stage, size in ((1, 16), (2, 8), (3, 4)):
        channels = 256 * 2 ** (stage - 1)
        assert isinstance(seen[stage], OctaveMaps)
        assert seen[stage].high.shape == (2, channels * 3 // 4, size, size)
        assert seen[stage].low.shape == (2, channels // 4, size // 2, size // 2)
    assert seen[4].shape == (2, 2048, 2, 2)


def test_mobilenet_v1_placement() -> None:
    with torch.device("meta"):
        network = models.oct_mobilenet_v1(0.5)
    blocks = list(network.features)[1:]
    assert [b.conv1.in_split[1] > 0 for b in blocks] == [False, *[True] * 10, False, False]
    assert [b.conv2.out_split[1] > 0 for b in blocks] == [*[True] * 10, False, False, False]


def test_mobilenet_v2_placement() -> None:
    with torch.device("meta"):
        network = models.oct_mobilenet_v2(0.5)
    blocks = list(network.features)[1:-1]
    assert [b.conv2.in_split[1] > 0 for b in blocks] == [*[True] * 13, *[False] * 4]
    assert all(b.conv1.in_split[1] == b.conv3.out_split[1] == 0 for b in blocks)


def test_groups_stay_with_their_part_where_they_do_not_divide_it() -> None:
    with torch.device("meta"):
        network = models.oct_resnext50_32x4d(0.125)
    high, low = network.layer1[0].conv2.high[0], network.layer1[0].conv2.low[0]
    assert (high.groups, low.groups) == (28, 4)
    assert network.layer2[0].conv2.groups == 32


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"alpha": 1.5}, r"alpha must be in \[0, 1\], got 1.5"),
        ({"variant": "v3"}, "variant must be 'v1' or 'v2', got 'v3'"),
    ],
)
def test_refuses(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"OctResNet: {text}"):
        models.oct_resnet50(**arguments)


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    [
        (models.oct_resnet50, {"alpha": "x"}, "OctResNet: alpha must be a number, got 'x'"),
        (models.oct_mobilenet_v1, {"alpha": None}, "MobileNetV1: alpha must be a number, got None"),
        (models.oct_mobilenet_v2, {"width": "x"}, "MobileNetV2: width must be a number, got 'x'"),
        (
            models.oct_mobilenet_v2,
            {"width": -1},
            "MobileNetV2: width must be finite, at least 1/16",
        ),
        (
            models.oct_mobilenet_v2,
            {"width": 0.05},
            "MobileNetV2: width must be finite, at least 1/16",
        ),
        (
            models.oct_mobilenet_v1,
            {"width": 0},
            "MobileNetV1: width must be finite, at least 1/32",
        ),
    ],
)
def test_refuses_factors(function: Any, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        function(**arguments)


def test_refuses_a_split_within_groups() -> None:
    with pytest.raises(ValueError, match="conv2d: 32 groups of 128 channels"):
        models.oct_resnext50_32x4d(0.3)
    with pytest.raises(ValueError, match="conv2d: 4 groups of 64 channels"):
        models.OctResNet((1, 1), 0.35, groups=4)  # 22 low channels: one and a bit


def test_initialisation_is_by_what_goes_out() -> None:
    """He's, as the authors': 2 / (C_out k k) is the variance of a weight, octave or not."""
    network = models.oct_resnet26(0.5, num_classes=2)
    for conv in (network.conv1, network.layer2[0].conv1, network.layer2[0].conv2):
        fan_out = conv.out_channels * conv.kernel_size[0] * conv.kernel_size[1]
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"blocks": ()}, ValueError, "blocks must have at least one stage"),
        ({"blocks": 3}, TypeError, "blocks must be a count for each stage"),
        ({"blocks": (1, 0)}, ValueError, r"blocks\[1\] must be at least 1, got 0"),
        ({"blocks": (1.0,)}, TypeError, r"blocks\[0\] must be an int, got 1.0"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"width_factor": 0.5}, TypeError, "width_factor must be an int, got 0.5"),
        ({"num_classes": "x"}, TypeError, "num_classes must be an int, got 'x'"),
    ],
)
def test_counts_are_checked(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"OctResNet: {text}"):
        models.OctResNet(**{"blocks": (1, 1), **arguments})


@pytest.mark.parametrize("name", ["oct_mobilenet_v1", "oct_mobilenet_v2"])
def test_mobilenets_have_classes(name: str) -> None:
    with pytest.raises(ValueError, match="num_classes must be at least 1, got 0"):
        getattr(models, name)(num_classes=0)


@pytest.mark.parametrize("variant", ["v1", "v2"])
@pytest.mark.parametrize("alpha", [0, 0.5])
def test_maps_of_all_stages(alpha: float, variant: str) -> None:
    network = models.oct_resnet26(alpha, variant=variant).eval()
    image = torch.randn(1, 3, 65, 64)
    with torch.no_grad():
        maps = network.stage_maps(image)
        features = network.features(image)
    assert [isinstance(m, OctaveMaps) for m in maps] == [bool(alpha)] * 3 + [False]
    highs = [m.high if isinstance(m, OctaveMaps) else m for m in maps]
    assert [tuple(h.shape[2:]) for h in highs] == [(17, 16), (9, 8), (5, 4), (3, 2)]
    expected = maps[-1] if variant == "v1" else network.norm(maps[-1]).relu()
    assert torch.equal(features, expected)


def test_squeeze_and_excitation_of_few_channels() -> None:
    x = OctaveMaps(torch.randn(2, 4, 5, 6), torch.randn(2, 4, 3, 3))
    layer = models.SqueezeExcitation(8, 0.5)
    assert layer.fc1.out_features == 1
    means = torch.cat([part.mean((2, 3)) for part in x], 1)
    gates = layer.fc2(layer.fc1(means).relu()).sigmoid()
    torch.testing.assert_close(layer(x).low, x.low * gates[:, 4:, None, None])
    with pytest.raises(ValueError, match="SqueezeExcitation: reduction must be at least 1, got 0"):
        models.SqueezeExcitation(8, reduction=0)
