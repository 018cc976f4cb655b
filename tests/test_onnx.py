"""Networks run in onnxruntime, without this library."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from foreign import randomized
from networks import Network
from torch import Tensor, nn

from octconv_cuda import OctConv2d, decompositions, fuse, models


def exported(network: nn.Module, image: Tensor, path: Path, dynamic: Any = None) -> Any:
    program = torch.export.export(network, (image,), dynamic_shapes=dynamic and (dynamic,))
    program = program.run_decompositions(decompositions())
    torch.onnx.export(program, (), path, dynamo=True)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def assert_same(session: Any, network: nn.Module, image: Tensor) -> None:
    (name,) = (argument.name for argument in session.get_inputs())
    (result,) = session.run(None, {name: image.numpy()})
    with torch.no_grad():
        expected = network(image)
    torch.testing.assert_close(torch.from_numpy(result), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prepare", [lambda network: network, fuse], ids=["", "fused"])
@pytest.mark.parametrize("size", [(16, 12), (15, 13)], ids=str)
def test_small_network(size: tuple[int, int], prepare: Any, tmp_path: Path) -> None:
    network = prepare(randomized(Network()))
    dynamic = {0: torch.export.Dim("batch")}
    session = exported(network, torch.randn(2, 3, *size), tmp_path / "a.onnx", dynamic)
    for batch in (1, 2, 5):
        assert_same(session, network, torch.randn(batch, 3, *size))


def test_any_size(tmp_path: Path) -> None:
    """Even and odd heights and widths in one file."""
    network = randomized(Network())
    dynamic = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    session = exported(network, torch.randn(2, 3, 16, 12), tmp_path / "a.onnx", dynamic)
    for shape in ((1, 3, 16, 12), (2, 3, 15, 13), (3, 3, 9, 30)):
        assert_same(session, network, torch.randn(shape))


@pytest.mark.parametrize("prepare", [lambda network: network, fuse], ids=["", "fused"])
def test_resnet(prepare: Any, tmp_path: Path) -> None:
    network = prepare(randomized(models.OctResNet((2, 2, 2), 0.5, variant="v1", num_classes=5)))
    image = torch.randn(1, 3, 65, 64)
    assert_same(exported(network, image, tmp_path / "a.onnx"), network, image)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(7, 6), (8, 5)], ids=str)
def test_low_part_alone(size: tuple[int, int], stride: int) -> None:
    """It does not tell the size of the high grid: the operators do."""
    layer = OctConv2d((0, 4), (2, 3), 3, stride)
    low = torch.randn(2, 4, 4, 3)

    class Layer(nn.Module):
        def forward(self, low: Tensor) -> Any:
            return layer((None, low), size=size)

    program = torch.export.export(Layer(), (low,)).run_decompositions(decompositions())
    expected = layer((None, low), size=size)
    for part, other in zip(program.module()(low), expected, strict=True):
        torch.testing.assert_close(part, other)
