"""torch.export: saved, loaded, and right at sizes that it was not exported with."""

import io
from collections.abc import Callable
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
from torch import Tensor, func, nn
from torch.export import Dim

from octconv_cuda import OctaveMaps, OctConv2d

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


@STRICT
def test_operators_stay_whole(strict: bool) -> None:
    """The graph calls the operators, so that whoever loads it gets this machine's kernels."""
    program = torch.export.export(Network().eval(), (torch.randn(IMAGE),), strict=strict)
    for name, each in (("oct_conv2d", program), ("forward", program.run_decompositions())):
        called = [str(node.target) for node in each.graph.nodes if node.op == "call_function"]
        assert called.count(f"octconv_cuda.{name}.default") == 5
        assert not any("aten.conv" in other or "pool" in other for other in called)


def layers() -> nn.Sequential:
    """From and to a tensor, at stride 2 too, and one that is composed."""
    return nn.Sequential(
        OctConv2d(3, 8, 3, alpha_in=0),
        OctConv2d(8, 16, 1, stride=2),
        OctConv2d(16, 16, 3, dilation=2),
        OctConv2d(16, 4, 3, alpha_out=0),
    )


@STRICT
def test_an_exported_network_learns_as_it_did_before(strict: bool) -> None:
    network, image = layers(), torch.randn(IMAGE)
    loaded = saved_and_loaded(torch.export.export(network, (image,), strict=strict))
    results = []
    for module in (network, loaded, torch.compile(loaded, backend="aot_eager")):
        x = image.clone().requires_grad_()
        parameters = dict(module.named_parameters())
        y = module(x)
        first = torch.autograd.grad(y.sin().sum(), [x, *parameters.values()], create_graph=True)
        penalty = first[0].square().sum()
        compiled = module not in (network, loaded)  # which PyTorch differentiates once
        second = [] if compiled else torch.autograd.grad(penalty, list(parameters.values()))
        results.append((y, *first, *second))
    for result in results[1:]:
        for got, expected in zip(result, results[0], strict=False):
            torch.testing.assert_close(got, expected)


@STRICT
def test_an_exported_network_follows_autocast(strict: bool) -> None:
    network, image = layers().eval(), torch.randn(IMAGE)
    exported = torch.export.export(network, (image,), strict=strict).module()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(exported(image), network(image))
        assert exported(image).dtype == torch.bfloat16


TRANSFORMS: dict[str, Callable[..., Any]] = {
    "grad": lambda f: func.grad(lambda x: f(x).sin().sum()),
    "vmap": lambda f: lambda x: func.vmap(f)(x[:, None]),
    "vmap of grad": lambda f: (
        lambda x: func.vmap(func.grad(lambda y: f(y).sin().sum()))(x[:, None])
    ),
    "jvp": lambda f: lambda x: func.jvp(f, (x,), (x.cos(),)),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.filterwarnings("error:There is a performance drop")
def test_transforms_of_an_exported_network(transform: Callable[..., Any]) -> None:
    network, image = layers(), torch.randn(IMAGE)
    dynamic = ({0: Dim.AUTO},)
    exported = torch.export.export(network, (image,), dynamic_shapes=dynamic).module()
    torch.testing.assert_close(transform(exported)(image), transform(network)(image))


def test_another_family_is_refused() -> None:
    x, weight = torch.randn(1, 8, 4, 4), torch.randn(8, 8, 3, 3)
    with pytest.raises(ValueError, match=r"oct_conv2d: family must be None.*'sm70'"):
        torch.ops.octconv_cuda.oct_conv2d(x, None, weight, None, 4, (4, 4), 1, "sm70")


def test_a_family_is_insisted_on_where_the_program_runs() -> None:
    layer = OctConv2d(8, 8, 3, family="sm80", device="meta")
    maps = OctaveMaps(*(part.to("meta") for part in octave_maps()))
    program = torch.export.export(layer, (maps,))
    with pytest.raises(ValueError, match="family='sm80' must serve the call, but got no kernel"):
        program.module().to_empty(device="cpu")(octave_maps())


def test_maps_times_a_size() -> None:
    class Averaged(nn.Module):
        def forward(self, high: Tensor, low: Tensor) -> Any:
            return OctaveMaps(high, low) * (1.0 / high.shape[0]) * high.shape[0]

    dynamic = ({0: Dim("batch")}, {0: Dim("batch")})
    program = torch.export.export(Averaged(), tuple(octave_maps(3)), dynamic_shapes=dynamic)
    other = octave_maps(5)
    assert_maps_close(program.module()(*other), other, rtol=1e-6, atol=1e-6)
