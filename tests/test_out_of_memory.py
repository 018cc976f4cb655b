"""Where memory runs out PyTorch's own error says so, as of PyTorch's operators."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from networks import octave_maps

from octconv_cuda import FusedConv2d, OctConv2d

TELLS = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 13)
TEXT = "CUDA out of memory. Tried to allocate 2.00 GiB."
MAPS = octave_maps()


@pytest.fixture(params=["convolution", "convolution_backward"])
def full(request: pytest.FixtureRequest) -> Iterator[str]:
    """An operator of PyTorch's for which there is no memory; of others there is."""

    def raises(*_: Any) -> None:
        raise torch.OutOfMemoryError(TEXT)

    with torch.library._scoped_library("aten", "IMPL") as library:
        library.impl(request.param, raises, "CPU")
        yield request.param


def forward(layer: OctConv2d) -> object:
    with torch.no_grad():
        return layer(MAPS)


def forward_and_backward(layer: OctConv2d) -> None:
    y = layer(MAPS)
    (y.high.sum() + y.low.sum()).backward()


@pytest.mark.skipif(not TELLS, reason="a torch that does not tell a library what failed")
@pytest.mark.parametrize("call", [forward, forward_and_backward])
def test_a_layer_raises_what_pytorch_raises(call: Callable[[OctConv2d], Any], full: str) -> None:
    if full == "convolution_backward" and call is forward:
        call(OctConv2d(8, 8, 3))
        return
    with pytest.raises(torch.OutOfMemoryError, match=r"Tried to allocate 2\.00 GiB"):
        call(OctConv2d(8, 8, 3))


@pytest.mark.skipif(not TELLS, reason="a torch that does not tell a library what failed")
@pytest.mark.parametrize("full", ["convolution"], indirect=True)
def test_a_fused_layer_raises_it_too(full: str) -> None:
    layer = FusedConv2d(OctConv2d(8, 8, 3).eval().double())
    with pytest.raises(torch.OutOfMemoryError, match=r"Tried to allocate 2\.00 GiB"):
        layer([part.double() for part in MAPS])


def test_errors_of_others_stay_theirs() -> None:
    def full(_: torch.Tensor) -> None:
        raise RuntimeError("out of memory-mapped files")

    with (
        torch.autograd.graph.saved_tensors_hooks(full, lambda x: x),
        pytest.raises(RuntimeError, match="memory-mapped") as raised,
    ):
        OctConv2d(8, 8, 3)(MAPS)
    assert raised.type is RuntimeError


def test_a_raw_operator_says_what_pytorch_says() -> None:
    """By RuntimeError alone, for that is all that the native library can raise."""
    endless = torch.zeros(1, 2**10, 1, 1).expand(1, 2**10, 2**20, 2**20)
    text = "you tried to allocate" if TELLS else "out of memory; torch before 2.13"
    with pytest.raises(RuntimeError, match=f"octconv_cuda: empty_strided: .*{text}"):
        torch.ops.octconv_cuda.pool2x2(endless, None, True)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="octconv_cuda::forward: x_high must be") as raised:
        torch.ops.octconv_cuda.forward(*MAPS, torch.ones(8, 8, 3, 3), None, 4, [1, 1], 1, True, "")
    assert raised.type is RuntimeError
