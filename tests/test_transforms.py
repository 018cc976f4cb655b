"""torch.func and forward-mode differentiation: what autograd Functions cannot serve is composed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from networks import Network, octave_maps
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap

from octconv_cuda import OctaveMaps, OctConv2d, explain, oct_conv2d, reference

close = torch.testing.assert_close
MAPS = octave_maps(batch=1, channels=(2, 2), size=(3, 4), dtype=torch.float64)
WEIGHT = torch.randn(4, 4, 3, 3, dtype=torch.float64)


def network_and_loss() -> tuple[dict[str, Tensor], Callable[..., Tensor]]:
    network = Network().double().eval()

    def loss(parameters: dict[str, Tensor], image: Tensor) -> Tensor:
        return functional_call(network, parameters, (image,)).square().sum()

    return {name: p.detach() for name, p in network.named_parameters()}, loss


def autograd(loss: Callable[..., Tensor], parameters: dict[str, Tensor], image: Tensor) -> Any:
    leaves = {name: p.clone().requires_grad_() for name, p in parameters.items()}
    return dict(
        zip(leaves, torch.autograd.grad(loss(leaves, image), list(leaves.values())), strict=True)
    )


def test_grad() -> None:
    parameters, loss = network_and_loss()
    image = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    close(grad(loss)(parameters, image), autograd(loss, parameters, image))


def test_gradients_of_each_sample() -> None:
    parameters, loss = network_and_loss()
    images = torch.randn(3, 1, 3, 9, 7, dtype=torch.float64)
    result = vmap(grad(loss), (None, 0))(parameters, images)
    for i, image in enumerate(images):
        close({name: g[i] for name, g in result.items()}, autograd(loss, parameters, image))


def test_vmap_over_maps_and_over_weights() -> None:
    weights = torch.randn(3, *WEIGHT.shape, dtype=torch.float64)
    maps = [octave_maps(1, (2, 2), (3, 4), torch.float64) for _ in range(3)]
    stacked = OctaveMaps(*(torch.stack(parts) for parts in zip(*maps, strict=True)))
    result = vmap(lambda x, w: oct_conv2d(x, w, out_channels=(2, 2)))(stacked, weights)
    for i in range(3):
        expected = oct_conv2d(maps[i], weights[i], out_channels=(2, 2))
        close((result.high[i], result.low[i]), tuple(expected))


def flat(maps: OctaveMaps, weight: Tensor) -> Tensor:
    result = oct_conv2d(maps, weight, out_channels=(3, 1))
    return torch.cat([result.high.flatten(), result.low.flatten()])


def test_jacobians() -> None:
    expected = torch.autograd.functional.jacobian(lambda w: flat(MAPS, w), WEIGHT)
    close(jacrev(flat, 1)(MAPS, WEIGHT), expected)
    close(jacfwd(flat, 1)(MAPS, WEIGHT), expected)
    by_maps = jacrev(flat)(MAPS, WEIGHT)
    assert by_maps.high.shape == (*expected.shape[:1], *MAPS.high.shape)
    close(by_maps.low, jacfwd(flat)(MAPS, WEIGHT).low)


def test_hessian() -> None:
    def loss(weight: Tensor) -> Tensor:
        return flat(MAPS, weight).pow(3).sum()

    close(hessian(loss)(WEIGHT), torch.autograd.functional.hessian(loss, WEIGHT))


def test_jvp() -> None:
    direction = torch.randn_like(WEIGHT)
    value, tangent = jvp(lambda w: flat(MAPS, w), (WEIGHT,), (direction,))
    close(value, flat(MAPS, WEIGHT))
    close(tangent, flat(MAPS, direction))  # the layer is linear in its weight


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_forward_mode(requires_grad: bool, stride: int) -> None:
    """Native kernels know no tangents: without care they would be lost without a word."""
    high, low = MAPS
    weight = WEIGHT.clone().requires_grad_(requires_grad)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(high, torch.randn_like(high))
        result = oct_conv2d((dual, low), weight, out_channels=(2, 2), stride=stride)
        expected = reference.oct_conv2d(dual, low, weight, None, 2, stride=stride)
        for part, other in zip(result, expected, strict=True):
            tangent = forward_ad.unpack_dual(part).tangent
            assert tangent is not None
            close(tangent, forward_ad.unpack_dual(other).tangent)
        reason = explain((dual, low), weight, out_channels=(2, 2)).reason
    assert "forward-mode" in reason
    assert "forward-mode" not in explain(MAPS, weight, out_channels=(2, 2)).reason


def test_explain_inside_a_transform() -> None:
    seen = []

    def loss(weight: Tensor) -> Tensor:
        seen.append(explain(MAPS, weight, out_channels=(2, 2)))
        return weight.sum()

    grad(loss)(WEIGHT)
    assert seen[0].path == "composition"
    assert "torch.func" in seen[0].reason


@pytest.mark.parametrize("of", ["inputs", "weight"])
def test_forward_mode_through_a_backward_pass_recorded_without_it(of: str) -> None:
    """Its kernels would drop tangents without a word; within forward mode the layer is composed."""
    leaves = [part.clone().requires_grad_() for part in MAPS]
    weight = WEIGHT.clone().requires_grad_()
    wanted = leaves if of == "inputs" else [weight]

    def gradients(y: OctaveMaps, *dy: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(y, wanted, dy, retain_graph=True)

    y = oct_conv2d(tuple(leaves), weight, out_channels=(2, 2))
    dy = tuple(map(torch.randn_like, y))
    with pytest.raises(NotImplementedError, match="octconv_cuda: forward-mode derivatives go"):
        jvp(lambda *dy: gradients(y, *dy), dy, dy)

    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(part, part) for part in dy]
        with pytest.raises(NotImplementedError, match="octconv_cuda: forward-mode derivatives go"):
            gradients(y, *duals)
        y = oct_conv2d(tuple(leaves), weight, out_channels=(2, 2))
        duals = [forward_ad.make_dual(part, part) for part in dy]
        for gradient in gradients(y, *duals):
            value, tangent = forward_ad.unpack_dual(gradient)
            close(tangent, value)  # it is linear


def test_forward_mode_in_forward_mode_through_such_a_backward_pass() -> None:
    """The tangent that counts is of the outer level."""
    high = MAPS.high.clone().requires_grad_()
    y = oct_conv2d((high, MAPS.low), WEIGHT, out_channels=(2, 2)).high
    one = torch.ones((), dtype=torch.float64)

    def value(dy: Tensor) -> Tensor:
        return torch.autograd.grad(y, high, dy, retain_graph=True)[0].sum()

    def inner(dy: Tensor) -> Tensor:
        return jvp(lambda t: value(dy) * t, (one,), (one,))[0]

    dy = torch.randn_like(y)
    with pytest.raises(NotImplementedError, match="octconv_cuda: forward-mode derivatives go"):
        jvp(inner, (dy,), (dy,))


@pytest.mark.parametrize("create_graph", [False, True])
def test_several_backward_passes_at_once(create_graph: bool) -> None:
    """Their graph would be lost without a word, as that of any Function is."""
    layer = OctConv2d(4, 4, 3, alpha_in=0, alpha_out=0.5, dtype=torch.float64)
    x = torch.randn(1, 4, 6, 6, dtype=torch.float64)

    def loss(x: Tensor) -> Tensor:
        y = layer(x)
        return torch.stack([y.high.pow(3).sum(), y.low.pow(3).sum()])

    jacobian = torch.autograd.functional.jacobian
    one_by_one = jacobian(loss, x, create_graph=create_graph)
    if create_graph:
        with pytest.raises(NotImplementedError, match="several backward passes at once"):
            jacobian(loss, x, create_graph=True, vectorize=True)
        at_once = torch.func.jacrev(loss)(x)
        assert at_once.requires_grad
    else:
        at_once = jacobian(loss, x, vectorize=True)
    torch.testing.assert_close(at_once, one_by_one)
