"""What a fused layer computes with: the tensors that it has now, and nobody else's."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from foreign import randomized
from networks import assert_maps_close, octave_maps
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils import prune, spectral_norm, weight_norm

from octconv_cuda import FusedConv2d, OctaveBatchNorm2d, OctConv2d, fuse

IMAGE = torch.randn(2, 3, 9, 8)


def network(seed: int) -> nn.Module:
    """Fused: without a low part first, with both, and without exchange."""
    torch.manual_seed(seed)
    return fuse(
        nn.Sequential(
            OctConv2d(3, 8, 3, alpha_in=0),
            OctConv2d(8, 8, 3, groups=8),
            OctConv2d(8, 4, 1, alpha_out=0),
            nn.Conv2d(4, 4, 3),
            nn.ReLU(),
        ).eval()
    )


def test_functional_call() -> None:
    one, other = network(1), network(2)
    result = functional_call(one, dict(other.state_dict()), (IMAGE,))
    torch.testing.assert_close(result, other(IMAGE), rtol=1e-4, atol=1e-5)


def test_fake_tensors() -> None:
    """Shapes are found without oneDNN, whose operators know no fake tensors; then it serves."""
    net = network(1)
    expected = net(IMAGE)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert net(mode.from_tensor(IMAGE)).shape == expected.shape
    traced = make_fx(net, tracing_mode="fake", _allow_non_fake_inputs=True)(IMAGE)
    torch.testing.assert_close(traced(IMAGE), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(net(IMAGE), expected)


def test_ensembles() -> None:
    members = [network(seed) for seed in range(3)]
    state = stack_module_state(members)
    results = vmap(lambda *own: functional_call(members[0], own, (IMAGE,)))(*state)
    for result, member in zip(results, members, strict=True):
        torch.testing.assert_close(result, member(IMAGE), rtol=1e-4, atol=1e-5)


def test_a_batch_of_batches() -> None:
    fused, images = network(1), torch.randn(3, *IMAGE.shape)
    expected = torch.stack([fused(image) for image in images])
    torch.testing.assert_close(vmap(fused)(images), expected, rtol=1e-4, atol=1e-5)


def test_values_written_in_place() -> None:
    one, other = network(1), network(2)
    one(IMAGE)
    for mine, theirs in zip(one.buffers(), other.buffers(), strict=True):
        mine.copy_(theirs)
    assert torch.equal(one(IMAGE), other(IMAGE))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_convolution_it_was_made_of_may_change(dtype: torch.dtype) -> None:
    conv = OctConv2d(8, 8, 3, dtype=dtype)
    fused, maps = FusedConv2d(conv), octave_maps(dtype=dtype)
    before = fused(maps)
    with torch.no_grad():
        conv.weight.zero_()
    assert_maps_close(fused(maps), before, rtol=0, atol=0)
    assert_maps_close(copy.deepcopy(fused)(maps), before, rtol=0, atol=0)


def test_another_default_device() -> None:
    fused, maps = FusedConv2d(OctConv2d(8, 8, 3)), octave_maps()
    expected = fused(maps)
    with torch.device("meta"):
        assert_maps_close(fused(maps), expected, rtol=0, atol=0)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_low_part_without_channels(stride: int) -> None:
    conv = OctConv2d((4, 0), (2, 2), 3, stride, groups=2)
    maps = (torch.randn(2, 4, 7, 6), torch.randn(2, 0, 4, 3))
    assert_maps_close(FusedConv2d(conv)(maps), conv(maps), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("conv", "norm"),
    [
        (nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)),
        (OctConv2d(8, 8, 3), OctaveBatchNorm2d(8)),
        (OctConv2d(8, 8, 3, groups=2), OctaveBatchNorm2d(8)),
    ],
    ids=["plain", "octave", "groups"],
)
def test_float64_is_exact_to_its_own_rounding(conv: nn.Module, norm: nn.Module) -> None:
    layers = randomized(nn.Sequential(conv, norm)).double().eval()
    x: Any = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    x = octave_maps(dtype=torch.float64) if isinstance(conv, OctConv2d) else x
    assert_maps_close(fuse(layers)(x), layers(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "residual", [lambda y: y.high, lambda y: (y.high, None)], ids=["high", "pair"]
)
def test_a_residual_has_all_parts(residual: Callable[[Any], Any]) -> None:
    fused, maps = FusedConv2d(OctConv2d(8, 8, 3)), octave_maps()
    with pytest.raises(ValueError, match=r"the low part of the residual must be .* got None"):
        fused(maps, residual(fused(maps)))


def test_what_a_residual_cannot_be() -> None:
    fused: Any = FusedConv2d(OctConv2d(8, 8, 3))
    with pytest.raises(TypeError, match="FusedConv2d: residual must be a tensor or a"):
        fused(octave_maps(), 5)


def test_inference_tensors_have_no_version() -> None:
    with torch.inference_mode():
        fused = FusedConv2d(OctConv2d(8, 8, 3))
        maps = octave_maps()
        high: Tensor = fused(maps).high
    assert high.isfinite().all()


def test_a_residual_without_parts_is_none() -> None:
    fused, maps = FusedConv2d(OctConv2d(8, 8, 3)), octave_maps()
    assert_maps_close(fused(maps, (None, None)), fused(maps), rtol=0, atol=0)


def test_layouts_of_a_few_sizes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are not laid out anew where sizes of images alternate, and not without end."""
    fused = FusedConv2d(OctConv2d(8, 8, 3).eval())
    if fused.packed is None:
        pytest.skip("PyTorch without oneDNN")
    made = []
    reorder = torch.ops.mkldnn._reorder_convolution_weight

    def counted(*arguments: Any) -> Tensor:
        made.append(arguments)
        return reorder(*arguments)

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_convolution_weight", counted)
    blocks = len(fused.packed._blocks)
    for size in (8, 12, 8, 12, 8):
        fused((torch.randn(1, 4, size, size), torch.randn(1, 4, size // 2, size // 2)))
    assert len(made) == 2 * blocks
    for size in range(14, 40, 2):
        fused((torch.randn(1, 4, size, size), torch.randn(1, 4, size // 2, size // 2)))
        assert len(fused.packed._layouts) <= 4 * blocks


@pytest.mark.parametrize(
    "alter", [prune.random_unstructured, weight_norm, spectral_norm], ids=lambda f: f.__name__
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
def test_a_network_whose_hooks_compute_a_weight(alter: Callable[..., Any]) -> None:
    """Which keep it, with a graph behind it, where the copy finds it."""
    net = randomized(nn.Sequential(OctConv2d(3, 8, 3, alpha_in=0), OctConv2d(8, 4, 1, alpha_out=0)))
    alter(net[1], "weight", **({"amount": 0.5} if alter is prune.random_unstructured else {}))
    net.train()(IMAGE).sum().backward()
    fused = fuse(net.eval())
    assert isinstance(fused[0], FusedConv2d)
    torch.testing.assert_close(fused(IMAGE), net(IMAGE), rtol=1e-4, atol=1e-5)


def test_a_module_that_keeps_its_result() -> None:
    class Kept(nn.Identity):
        def forward(self, x: Tensor) -> Tensor:
            self.last = super().forward(x)
            return self.last

    net = nn.Sequential(OctConv2d(3, 8, 3, alpha_in=0, alpha_out=0), Kept()).eval()
    kept = net(IMAGE)
    fused = fuse(net)
    assert net[1].last is kept
    assert fused[1].last.data_ptr() != kept.data_ptr()
    torch.testing.assert_close(fused(IMAGE), kept, rtol=1e-4, atol=1e-5)


def test_another_method_of_that_name() -> None:
    class Own(nn.Sequential):
        def fused(self, x: Tensor) -> Tensor:
            return self(x)

    class Builtin(nn.Sequential):
        fused = max

    for made in (Own, Builtin):
        net = made(nn.Conv2d(3, 4, 1), nn.ReLU()).eval()
        torch.testing.assert_close(fuse(net)(IMAGE), net(IMAGE))


def test_a_method_that_gives_no_module() -> None:
    class Own(nn.Identity):
        def fused(self) -> int:
            return 3

    with pytest.raises(TypeError, match=r"fuse: Own\.fused\(\) must give a module, got 3"):
        fuse(nn.Sequential(Own()).eval())


def test_a_parameter_by_another_name_stays_one() -> None:
    net = nn.Sequential(OctConv2d(3, 8, 3, alpha_in=0), nn.Linear(2, 2)).eval()
    net.__dict__["alias"] = net[1].weight
    fused = fuse(net)
    assert fused.alias is fused[1].weight
    assert isinstance(fused[1].weight, nn.Parameter)
