"""A small set to hold times against: ``pytest benchmarks --benchmark-only``.

A group per shape and mode. ``--benchmark-autosave`` keeps a run, ``--benchmark-compare`` sets the
next one beside it.
"""

from collections.abc import Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from octconv_cuda import split_channels

from .contenders import BUILDERS, bind
from .harness import random_parameters
from .inputs import octave_maps
from .layer_list import HEADLINE_ALPHA, LAYERS, Layer
from .machine import synchronize

SHAPES = [layer for layer in LAYERS if layer.name in ("resnet 3x3 56", "resnet 1x1 56 expand")]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """What other work on the machine disturbs least."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["vanilla", "composed", "octconv_cuda"])
@pytest.mark.parametrize("mode", ["forward", "forward_backward"])
@pytest.mark.parametrize("layer", SHAPES, ids=lambda layer: layer.name)
def test_layer(benchmark: BenchmarkFixture, layer: Layer, mode: str, name: str) -> None:
    """One layer at batch 1 in float32, at the headline alpha; on a CPU with one thread."""
    benchmark.group = f"{layer.name}, {mode}"
    alpha = 0.0 if name == "vanilla" else HEADLINE_ALPHA
    weight, bias = random_parameters(layer, DEVICE, torch.float32)

    def maps(channels: int, seed: int) -> list[torch.Tensor]:
        parts = octave_maps("noise", 1, split_channels(channels, alpha), layer.size, seed)
        return [part.to(DEVICE, memory_format=torch.channels_last) for part in parts]

    contender = BUILDERS[name](layer, alpha, weight, bias)
    call = bind(contender, maps(layer.in_channels, 1), maps(layer.out_channels, 2), mode)

    def call_and_wait() -> None:
        call()
        synchronize(DEVICE)

    benchmark(call_and_wait)
