"""What traces the library: torch.compile, make_fx, fake and meta tensors."""

import copy
from typing import Any

import pytest
import torch
from networks import Network, Residual, assert_same_maps, compiled_sums, gradients, octave_maps
from oracle import assert_accurate
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from octconv_cuda import OctaveMaps, OctConv2d, PerPart, oct_conv2d


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> None:
    torch._dynamo.reset()


def assert_near(result: Tensor, network: nn.Module, *inputs: Any) -> None:
    """Judges a compiled network's result beside its eager one."""
    exact = copy.deepcopy(network).double()
    assert_accurate(result, network(*inputs), exact(*(x.double() for x in inputs)))


@compiled_sums
@pytest.mark.parametrize("dynamic", [False, True])
def test_inference(dynamic: bool) -> None:
    network = Network().eval()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(network, backend=counter, fullgraph=True, dynamic=dynamic)
    image = torch.randn(2, 3, 17, 14)
    with torch.no_grad():
        assert_near(compiled(image), network, image)
        compilations = counter.frame_count
        compiled(torch.randn(2, 3, 17, 14))
        assert counter.frame_count == compilations
        other = torch.randn(3, 3, 21, 19)
        assert_near(compiled(other), network, other)
    assert (counter.frame_count == compilations) == dynamic


def step(network: nn.Module, run: Any, image: Tensor) -> dict[str, Tensor]:
    run(image).square().sum().backward()
    return gradients(network)


@compiled_sums
@pytest.mark.parametrize("dynamic", [False, True])
def test_training_step(dynamic: bool) -> None:
    network = Network()
    eager, exact = copy.deepcopy(network), copy.deepcopy(network).double()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(network, backend=counter, fullgraph=True, dynamic=dynamic)
    compilations = []
    for _ in range(2):
        image = torch.randn(2, 3, 15, 18)
        result = step(network, compiled, image)
        beside, ideal = step(eager, eager, image), step(exact, exact, image.double())
        for name in result:
            assert_accurate(result[name], beside[name], ideal[name])
        compilations.append(counter.frame_count)
    assert compilations[0] == compilations[1]
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(buffer, eager.get_buffer(name))


def leaves(maps: OctaveMaps, dtype: torch.dtype) -> OctaveMaps:
    return OctaveMaps(*(part.to(dtype, copy=True).requires_grad_() for part in maps))


@compiled_sums
def test_generated_code() -> None:
    """Through inductor: a pair in, a pair out, and the gradients."""
    block = Residual(8)
    eager, exact = copy.deepcopy(block), copy.deepcopy(block).double()
    compiled = torch.compile(block, fullgraph=True)
    maps = octave_maps(size=(9, 7))
    results = []
    for module, run, dtype in (
        (block, compiled, torch.float32),
        (eager, eager, torch.float32),
        (exact, exact, torch.float64),
    ):
        given = leaves(maps, dtype)
        output = run(given)
        assert type(output) is OctaveMaps
        (output.high.square().sum() + output.low.square().sum()).backward()
        grads = gradients(module)
        results.append([*output, given.high.grad, given.low.grad, *grads.values()])
    # Together: inductor sums in an order of its own, and the error of four numbers is luck.
    assert_accurate(*(torch.cat([t.flatten() for t in tensors]) for tensors in results))


def test_pairs_and_absent_parts() -> None:
    layers = nn.Sequential(
        OctConv2d(6, 6, 3, alpha_in=1, alpha_out=1),
        PerPart(nn.Tanh()),
        OctConv2d(6, 6, 3, alpha_in=1),
    )
    compiled = torch.compile(layers, backend="aot_eager", fullgraph=True)
    low = torch.randn(2, 6, 5, 4)
    assert_same_maps(compiled((None, low)), layers((None, low)))


@compiled_sums
def test_arithmetic_of_maps() -> None:
    def combine(a: OctaveMaps, b: OctaveMaps, factor: float) -> OctaveMaps:
        return a * factor + 2 * b

    compiled = torch.compile(combine, backend="aot_eager", fullgraph=True)
    a, b = octave_maps(), octave_maps()
    for factor in (0.5, 0.75, 3):
        assert_same_maps(compiled(a, b, factor), combine(a, b, factor))


def test_size_may_change_between_calls() -> None:
    layer = OctConv2d(8, 8, 3, alpha_in=1)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, backend=counter, fullgraph=True, dynamic=True)
    for size in ((7, 8), (8, 7), (8, 8)):
        low = torch.randn(2, 8, 4, 4)
        assert_same_maps(compiled((None, low), size), layer((None, low), size))


@pytest.mark.parametrize(
    "arguments",
    [{"groups": 2}, {"groups": 8}, {"dilation": 2}, {"padding_mode": "reflect"}],
    ids=str,
)
def test_composition(arguments: dict[str, Any]) -> None:
    layer = OctConv2d(8, 8, 3, **arguments)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    maps = octave_maps(size=(7, 8))
    assert_same_maps(compiled(maps), layer(maps))


def test_errors_keep_their_text() -> None:
    compiled = torch.compile(OctConv2d(8, 8, 3), backend="aot_eager")
    high, low = octave_maps()
    with pytest.raises(ValueError, match=r"x_low must be \(2, 4, 4, 3\) to match x_high"):
        compiled((high, low[:, :, :3]))


def test_make_fx() -> None:
    """A graph holds the operators, not what they are made of, and serves other sizes."""
    network = Network().eval()
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    state = {name: value.detach() for name, value in state.items()}

    def run(state: dict[str, Tensor], image: Tensor) -> Tensor:
        return functional_call(network, state, (image,))

    graph = make_fx(run, tracing_mode="symbolic")(state, torch.randn(2, 3, 17, 14))
    called = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
    assert called.count("octconv_cuda.forward.default") == 5
    assert not any("convolution" in name for name in called)
    image = torch.randn(3, 3, 12, 21)
    torch.testing.assert_close(graph(state, image), run(state, image), rtol=0, atol=0)


@pytest.mark.parametrize("stride", [1, 2])
def test_fake_and_meta_tensors_have_the_real_layout(stride: int) -> None:
    layer = OctConv2d(8, 10, 3, stride=stride)
    maps = octave_maps(size=(7, 1))
    expected = [(part.shape, part.stride(), part.dtype) for part in layer(maps)]
    meta = copy.deepcopy(layer).to("meta")(OctaveMaps(*(part.to("meta") for part in maps)))
    assert [(part.shape, part.stride(), part.dtype) for part in meta] == expected
    with FakeTensorMode() as mode:
        fake = OctConv2d(8, 10, 3, stride=stride)(
            OctaveMaps(*(mode.from_tensor(part) for part in maps))
        )
    assert [(part.shape, part.stride(), part.dtype) for part in fake] == expected


def test_checkpointing() -> None:
    layer, maps = OctConv2d(8, 8, 3), octave_maps()

    def checkpointed(maps: OctaveMaps) -> OctaveMaps:
        return torch.utils.checkpoint.checkpoint(layer, maps, use_reentrant=False)

    results = []
    for run in (layer, checkpointed):
        given = leaves(maps, torch.float32)
        output = run(given)
        (output.high.sum() + output.low.square().sum()).backward()
        results.append([given.high.grad, given.low.grad, *gradients(layer).values()])
    assert all(map(torch.equal, *results))


def test_function_compiles() -> None:
    weight, bias = torch.randn(5, 8, 3, 3), torch.randn(5)

    def run(high: Tensor, low: Tensor) -> Any:
        return oct_conv2d((high, low), weight, bias, out_channels=(5, 0), stride=2)

    high, low = octave_maps()
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(high, low), run(high, low))
