"""What cannot be loaded is refused, by what was expected and what was given."""

from typing import Any

import pytest
import torch
from foreign import FourConvolutions
from torch import Tensor, nn

from octconv_cuda import OctaveBatchNorm2d, OctConv2d, checkpoints


@pytest.mark.parametrize(
    ("layer", "state", "text"),
    [
        (OctConv2d(8, 8, 1), {"weight": torch.ones(8, 9, 1, 1)}, r"must be \(8, 8, 1, 1\), got"),
        (
            OctConv2d(8, 8, 1),
            {"H2H.weight": torch.ones(4, 4, 1, 1), "H2L.weight": torch.ones(4, 5, 1, 1)},
            r"the path hh must be \(4, 5, 1, 1\) beside the others, got \(4, 4, 1, 1\)",
        ),
        (
            nn.Conv2d(8, 8, 1),
            {"H2H.weight": torch.ones(4, 8, 1, 1), "H2L.weight": torch.ones(4, 8, 1, 1)},
            r"must be an octave layer for \(high, low\) channels \(8, 0\) to \(4, 4\), got Conv2d",
        ),
        (OctConv2d(8, 8, 1), {"weight": torch.ones(8, 8, 1, 1), "bias": torch.ones(4)}, "bias"),
        (nn.Linear(3, 2), {"weight": torch.ones(3, 2)}, r"must be \(2, 3\), got \(3, 2\)"),
        (nn.Linear(3, 2), {"weight": torch.ones(6)}, r"must be \(2, 3\), got \(6,\)"),
        (OctConv2d(8, 8, 1), {"H2H.weight": torch.ones(4)}, r"hh must have 4 dimensions, got \(4,"),
        (
            OctConv2d(8, 8, 1),
            {"convh.weight": torch.ones(4), "convl.weight": torch.ones(4)},
            "convh",
        ),
        (
            OctConv2d(8, 8, 1, bias=False),
            {"convh.weight": torch.ones(4, 8, 1, 1)},
            r"convh \(4, 8, 1, 1\) and convl \(\) are neither first nor last",
        ),
        (nn.Linear(3, 2), {"convl.weight": torch.ones(2, 3)}, r"convl \(2, 3\) are neither"),
        (
            OctConv2d(8, 8, 1),
            {"weight": torch.ones(8, 8, 1, 1), "h2l.bias": torch.ones(0)},
            r"bias must be \(8,\), got \(0,\)",
        ),
        (
            OctConv2d(8, 8, 1, bias=False),
            {"weight": torch.zeros(8, 8, 1, 1), "h2h.weight": torch.ones(4, 4, 1, 1)},
            "the weight must come whole or in its parts, got weight and h2h.weight",
        ),
        (
            OctConv2d(8, 8, 1),
            {"h2h.bias": torch.ones(4), "bias": torch.zeros(8)},
            "the bias must come whole or in its parts, got h2h.bias and bias",
        ),
        (
            OctaveBatchNorm2d(8),
            {"high.weight": torch.ones(4), "high.running_mean": torch.ones(3)},
            r"the parts of running_mean must have 8 channels, got \(3, 0\)",
        ),
        (
            OctaveBatchNorm2d(8),
            {"weight": torch.zeros(8), "low.weight": torch.ones(4)},
            "low.weight must come once, got weight and low.weight",
        ),
        (
            OctaveBatchNorm2d(8),
            {"weight": torch.zeros(8), "bn_h.weight": torch.ones(4)},
            "the weight must come whole or in its parts, got weight and bn_h.weight",
        ),
    ],
)
def test_refuses_what_does_not_fit(layer: nn.Module, state: dict[str, Tensor], text: str) -> None:
    with pytest.raises(ValueError, match=f"checkpoints.load: .*{text}"):
        checkpoints.load(layer, state)


def test_a_whole_and_its_parts_may_be_strangers() -> None:
    """To a module that takes neither, they are names like others."""
    network = nn.Sequential(OctConv2d(8, 8, 1))
    state = {**network.state_dict(), "weight": torch.ones(8), "high.weight": torch.ones(4)}
    report = checkpoints.load(network, state, strict=False)
    assert report.unexpected == ("weight", "high.weight")


@pytest.mark.parametrize("source", [5, None, [torch.ones(1)], nn.Linear(3, 2)], ids=str)
def test_refuses_what_is_no_source(source: Any) -> None:
    with pytest.raises(TypeError, match=r"checkpoints.load: source must be a path or tensors"):
        checkpoints.load(nn.Linear(3, 2), source)


@pytest.mark.parametrize(
    ("network", "rename", "text"),
    [
        (3, None, "network must be a module, got int"),
        (nn.Linear(3, 2), 3, "rename must be a function or None, got int"),
        (nn.Linear(3, 2), lambda name: None, "rename must give strings, got None for weight"),
    ],
    ids=["network", "rename", "its names"],
)
def test_refuses_other_arguments(network: Any, rename: Any, text: str) -> None:
    with pytest.raises(TypeError, match=f"checkpoints.load: {text}"):
        checkpoints.load(network, {"weight": torch.ones(2, 3)}, rename=rename)
    with pytest.raises(TypeError, match=r"checkpoints\.read: path must be a path, got"):
        checkpoints.read(network)


def test_refuses_biases_that_are_none() -> None:
    state = FourConvolutions((6, 10), (4, 8), biases=("hh", "hl", "lh", "ll")).state(
        "conv_{a}2{b}", True
    )
    state["conv_h2h.bias"] = torch.tensor(1.0)
    with pytest.raises(ValueError, match=r"biases of one part must be \(C,\), alike, got \[\(\),"):
        checkpoints.load(OctConv2d(16, 12, 3), state)


def test_refuses_names_that_are_none() -> None:
    with pytest.raises(TypeError, match=r"checkpoints.load: names must be strings, got \[1\]"):
        checkpoints.load(nn.Linear(3, 2), {"weight": torch.ones(2, 3), 1: torch.ones(2)})


def test_tensors_without_values_are_refused() -> None:
    layer, empty = OctConv2d(8, 8, 1), OctConv2d(8, 8, 1, device="meta")
    with pytest.raises(ValueError, match=r"the network must have memory.*got weight.*to_empty"):
        checkpoints.load(empty, layer.state_dict())
    with pytest.raises(ValueError, match="weight must have values, got one on the meta device"):
        checkpoints.load(layer, empty.state_dict())
    checkpoints.load(empty.to_empty(device="cpu"), layer.state_dict())
    assert torch.equal(empty.weight, layer.weight)
