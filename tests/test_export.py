"""torch.export: saved, loaded, and right at sizes that it was not exported with."""

import io
from typing import Any

import pytest
import torch
from networks import (
    Network,
    Residual,
    assert_maps_close,
    assert_same_maps,
    compiled_sums,
    octave_maps,
)
from torch import Tensor, nn
from torch.export import Dim

from octconv_cuda import OctaveMaps

IMAGE = (2, 3, 17, 14)
STRICT = pytest.mark.parametrize(
    "strict", [False, pytest.param(True, marks=compiled_sums)], ids=["", "strict"]
)


def saved_and_loaded(program: torch.export.ExportedProgram) -> nn.Module:
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()


@STRICT
@pytest.mark.parametrize(
    ("dynamic", "others"),
    [
        (None, []),
        ({0: Dim("batch")}, [(5, 3, 17, 14)]),
        # AUTO: a named Dim refuses the guard 1 % (4 * width) != 0, which PyTorch adds for the
        # strides of channels_last sums and then cannot prove.
        ({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}, [(3, 3, 8, 9), (4, 3, 32, 31), (5, 3, 21, 18)]),
    ],
    ids=["static", "batch", "size"],
)
def test_network(strict: bool, dynamic: Any, others: list[tuple[int, ...]]) -> None:
    network = Network().eval()
    program = torch.export.export(
        network,
        (torch.randn(IMAGE),),
        dynamic_shapes=None if dynamic is None else (dynamic,),
        strict=strict,
    )
    loaded = saved_and_loaded(program)
    for shape in (IMAGE, *others):
        image = torch.randn(shape)
        assert torch.equal(loaded(image), network(image))


@STRICT
def test_pair_in_and_out(strict: bool) -> None:
    block, maps = Residual(8).eval(), octave_maps()
    loaded = saved_and_loaded(torch.export.export(block, (maps,), strict=strict))
    assert_same_maps(loaded(maps), block(maps))


def test_operators_stay_whole() -> None:
    """The graph calls the operators, so that whoever loads it gets this machine's kernels."""
    program = torch.export.export(Network().eval(), (torch.randn(IMAGE),))
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert called.count("octconv_cuda.forward.default") == 5
    assert not any("conv2d" in name or "pool" in name for name in called)


def test_maps_times_a_size() -> None:
    class Averaged(nn.Module):
        def forward(self, high: Tensor, low: Tensor) -> Any:
            return OctaveMaps(high, low) * (1.0 / high.shape[0]) * high.shape[0]

    dynamic = ({0: Dim("batch")}, {0: Dim("batch")})
    program = torch.export.export(Averaged(), tuple(octave_maps(3)), dynamic_shapes=dynamic)
    other = octave_maps(5)
    assert_maps_close(program.module()(*other), other, rtol=1e-6, atol=1e-6)
