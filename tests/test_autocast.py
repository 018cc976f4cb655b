"""Autocast: the public function casts, the raw operators keep the dtype of their operands."""

from typing import Any

import pytest
import torch
from networks import Network, assert_same_maps, compiled_sums, gradients, octave_maps
from torch import Tensor, nn

from octconv_cuda import OctaveMaps, OctConv2d, oct_conv2d

HALVES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
MAPS = octave_maps()


def cast(maps: OctaveMaps, dtype: torch.dtype) -> OctaveMaps:
    return OctaveMaps(*(part.to(dtype) for part in maps))


@HALVES
def test_training(dtype: torch.dtype) -> None:
    """The loss falls, parameters and their gradients stay float32."""
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    scaler = torch.amp.GradScaler("cpu", enabled=dtype == torch.float16, init_scale=2.0**10)
    labels = torch.arange(6) % 3
    images = torch.randn(6, 3, 11, 13) + labels[:, None, None, None]
    losses = []
    for _ in range(15):
        with torch.autocast("cpu", dtype=dtype):
            scores = network(images)
            loss = nn.functional.cross_entropy(scores.float(), labels)
        assert scores.dtype == dtype
        scaler.scale(loss).backward()
        assert all(p.grad.dtype == p.dtype == torch.float32 for p in network.parameters())
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


@HALVES
@pytest.mark.parametrize(
    "arguments", [{}, {"stride": 2}, {"groups": 2}, {"padding_mode": "reflect"}], ids=str
)
def test_is_the_call_with_cast_operands(dtype: torch.dtype, arguments: dict[str, Any]) -> None:
    layer = OctConv2d(8, 8, 3, **arguments)
    with torch.autocast("cpu", dtype=dtype):
        result = layer(MAPS)
    weight, bias = layer.weight.to(dtype), layer.bias.to(dtype)
    expected = oct_conv2d(cast(MAPS, dtype), weight, bias, out_channels=(4, 4), **arguments)
    assert result.high.dtype == dtype
    assert_same_maps(result, expected)


@HALVES
def test_mixed_inputs_are_cast_to_one(dtype: torch.dtype) -> None:
    layer = OctConv2d(8, 8, 3)
    mixed = OctaveMaps(MAPS.high, MAPS.low.to(dtype))
    with torch.autocast("cpu", dtype=dtype):
        assert_same_maps(layer(mixed), layer(MAPS))
    with pytest.raises(TypeError, match=f"x_low must have the dtype of x_high.* got {dtype}"):
        layer(mixed)


def test_float64_stays() -> None:
    layer, maps = OctConv2d(8, 8, 3).double(), cast(MAPS, torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = layer(maps)
    assert_same_maps(result, layer(maps))
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(TypeError, match="bfloat16"):
        OctConv2d(8, 8, 3)(maps)  # as nn.Conv2d refuses it


def test_disabled_inside() -> None:
    layer = OctConv2d(8, 8, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.autocast("cpu", enabled=False):
            inner = layer(MAPS)
        outer = layer(MAPS)
    assert_same_maps(inner, layer(MAPS))
    assert outer.low.dtype == torch.bfloat16


@HALVES
def test_backward_inside_and_outside(dtype: torch.dtype) -> None:
    """Autograd runs it outside, as it should; inside, autocast must not reach the operators."""
    layer = OctConv2d(8, 8, 3)
    found = []
    for inside in (False, True):
        with torch.autocast("cpu", dtype=dtype):
            result = layer(MAPS)
            loss = result.high.float().square().sum() + result.low.float().square().sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        found.append(gradients(layer))
    assert found[0].keys() == found[1].keys() == {"weight", "bias"}
    for name, gradient in found[0].items():
        assert gradient.dtype == torch.float32
        assert torch.equal(gradient, found[1][name])


@HALVES
def test_gradients_of_gradients(dtype: torch.dtype) -> None:
    layer = OctConv2d(8, 8, 3)
    with torch.autocast("cpu", dtype=dtype):
        loss = layer(MAPS).high.float().square().sum()
        (gradient,) = torch.autograd.grad(loss, layer.weight, create_graph=True)
        gradient.square().sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.any()


def raw_calls() -> list[Any]:
    ops = torch.ops.octconv_cuda
    high, low = MAPS
    weight, bias, rest = torch.randn(8, 8, 3, 3), torch.randn(8), ((7, 6), 1, False)
    return [
        pytest.param(ops.forward, (high, low, weight, bias, 4, *rest), id="forward"),
        # On a GPU that its kernels do not serve.
        pytest.param(
            ops.composed_forward, (high, low, weight, bias, 4, *rest), id="composed_forward"
        ),
        pytest.param(ops.input_grad, (high, low, weight, 4, *rest), id="input_grad"),
        pytest.param(
            ops.weight_grad, (high, low, high, low, (7, 6), (3, 3), 1, False), id="weight_grad"
        ),
        pytest.param(ops.pool2x2, (high, low, True), id="pool2x2"),
    ]


@HALVES
@pytest.mark.parametrize(("operator", "arguments"), raw_calls())
def test_raw_operators_keep_their_dtype(operator: Any, arguments: Any, dtype: torch.dtype) -> None:
    with torch.autocast("cpu", dtype=dtype):
        result = operator(*arguments)
    expected = operator(*arguments)
    results, expectations = ((x,) if isinstance(x, Tensor) else x for x in (result, expected))
    for part, other in zip(results, expectations, strict=True):
        assert part.dtype == torch.float32
        assert torch.equal(part, other)


def test_raw_upsample_keeps_its_dtype() -> None:
    results = []
    for enabled in (False, True):
        out = MAPS.high.clone()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            torch.ops.octconv_cuda.upsample2x2_(out, MAPS.low, True, True)
        results.append(out)
    assert torch.equal(*results)
    assert not torch.equal(results[0], MAPS.high)


def test_other_devices() -> None:
    """Autocast of one device leaves the others alone, also those that have no autocast."""
    layer = OctConv2d(8, 8, 3, device="meta")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = layer(OctaveMaps(*(part.to("meta") for part in MAPS)))
    assert (result.high.device.type, result.high.dtype) == ("meta", torch.float32)


@HALVES
@compiled_sums
@pytest.mark.parametrize("training", [False, True])
def test_compiled(dtype: torch.dtype, training: bool) -> None:
    torch._dynamo.reset()
    network = Network().train(training)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    image = torch.randn(2, 3, 9, 8)
    network(image)  # running statistics that are not those of a new layer
    state = {name: value.clone() for name, value in network.state_dict().items()}
    found = []
    for run in (network, compiled):
        network.load_state_dict(state)
        with torch.autocast("cpu", dtype=dtype):
            scores = run(image)
        assert scores.dtype == dtype
        scores.float().square().sum().backward()
        found.append([scores, *gradients(network).values()])
    for eager, other in zip(*found, strict=True):
        assert torch.equal(eager, other)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_a_graph(context: Any) -> None:
    layer = OctConv2d(8, 8, 3)
    expected = layer(MAPS)
    assert expected.high.requires_grad
    with context():
        result = layer(MAPS)
    assert not result.high.requires_grad
    assert not result.low.requires_grad
    assert_same_maps(result, expected)
    with torch.inference_mode():
        made_inside = OctaveMaps(*(part.clone() for part in MAPS))
        assert_same_maps(layer(made_inside), expected)
