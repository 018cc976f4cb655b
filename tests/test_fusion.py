"""fuse: equal outputs, and nothing element-wise left between convolutions."""

import copy
import pickle
from collections import OrderedDict
from functools import partial
from typing import Any

import pytest
import torch
from dispatched import Dispatched
from epilogues import ACTIVATIONS as FORMULAS
from epilogues import MODULES
from foreign import randomized
from networks import assert_maps_close, octave_maps
from oracle import assert_accurate
from torch import nn
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from octconv_cuda import (
    FusedConv2d,
    OctaveBatchNorm2d,
    OctaveMaps,
    OctConv2d,
    PerPart,
    cost,
    folding,
    fuse,
    models,
)
from octconv_cuda import fused as fused_conv2d
from octconv_cuda.activations import ACTIVATIONS
from octconv_cuda.models.resnet import BottleneckV2

# Every kind of block in every kind of stage.
RESNETS = {
    "resnet": partial(models.OctResNet, (2, 2, 2)),
    "se_resnet": partial(models.OctResNet, (2, 2, 2), se=True),
    "resnext": partial(models.OctResNet, (2, 2, 2), groups=32, width_factor=2),
}
NETWORKS = {
    **{f"{n}_{v}": partial(build, variant=v) for n, build in RESNETS.items() for v in ("v1", "v2")},
    "mobilenet_v1": models.oct_mobilenet_v1,
    "mobilenet_v2": models.oct_mobilenet_v2,
}


@pytest.fixture(params=["onednn", "operator"])
def _path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN's primitives, and what serves other devices."""
    if request.param == "operator":
        monkeypatch.setattr(fused_conv2d, "can_pack", lambda weight: False)


SPLITS = [
    ((6, 10), (4, 12)), ((16, 0), (8, 8)), ((6, 10), (16, 0)), ((16, 0), (16, 0)),
    ((0, 16), (8, 8)), ((6, 10), (0, 16)),
]  # fmt: skip
LAYERS: list[tuple[Any, dict[str, Any]]] = [
    *((split, {"stride": stride}) for split in SPLITS for stride in (1, 2)),
    *((SPLITS[0], {"kernel_size": k}) for k in (1, (1, 5))),
    *((SPLITS[0], {"dilation": d}) for d in (2, (1, 2))),
    *((((6, 10), (6, 10)), {"groups": 16, "stride": stride}) for stride in (1, 2)),
    *((((6, 10), (4, 12)), {"groups": 2, "stride": stride}) for stride in (1, 2)),
    *((((6, 10), (16, 0)), {"groups": 2, "stride": stride}) for stride in (1, 2)),
    *((((16, 0), (8, 8)), {"groups": 2, "stride": stride}) for stride in (1, 2)),
]


def test_each_activation_has_tests() -> None:
    modules = {name: activation.module for name, activation in ACTIVATIONS.items()}
    assert modules == {name: type(module) for name, module in MODULES.items()}
    numbers = {activation.epilogue for activation in ACTIVATIONS.values()}
    assert numbers == set(range(len(FORMULAS)))
    values = torch.linspace(-3, 9, 13)
    for activation in ACTIVATIONS.values():
        expected = FORMULAS[activation.epilogue](values)
        if activation.most is not None:
            expected = expected.clamp_max(activation.most)
        torch.testing.assert_close(activation.function(values), expected)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("activation", MODULES)
@pytest.mark.parametrize("size", [(8, 12), (9, 7)])
@pytest.mark.parametrize(("splits", "arguments"), LAYERS, ids=str)
def test_octave_layer(splits: Any, arguments: Any, size: Any, activation: str) -> None:
    if splits[0][0] == 0 and size[0] % 2:
        size = (10, 8)  # the high size is that of the low part, doubled
    conv = OctConv2d(*splits, **{"kernel_size": 3, **arguments})
    norm = randomized(OctaveBatchNorm2d(splits[1]))
    fused = FusedConv2d(conv, norm, activation)
    x = octave_maps(channels=splits[0], size=size)
    x = x.high if x.low is None else x
    with torch.no_grad():
        y = norm(conv(x))
        residual = PerPart(nn.Tanh())(y)
        for other in (None, residual):
            total = y if other is None else y + other
            expected = PerPart(MODULES[activation])(total)
            before = copy.deepcopy(other)
            assert_maps_close(fused(x, other), expected, rtol=1e-4, atol=1e-5)
            if other is not None:
                assert_maps_close(other, before, rtol=0, atol=0)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("arguments", [{}, {"stride": 2}, {"groups": 4}, {"bias": False}], ids=str)
def test_vanilla_layer(arguments: Any) -> None:
    conv = nn.Conv2d(8, 12, 3, padding=1, **arguments)
    norm = randomized(nn.BatchNorm2d(12))
    x = torch.randn(2, 8, 9, 7)
    with torch.no_grad():
        expected = norm(conv(x))
        fused = FusedConv2d(conv, norm, "relu")
        torch.testing.assert_close(fused(x), expected.relu(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            fused(x, expected.cos()), (expected + expected.cos()).relu(), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_is_as_accurate_as_what_it_replaces(dtype: torch.dtype) -> None:
    """An error of at most twice that of the layers in their own dtype, against float64."""
    layers = nn.Sequential(
        OctConv2d(32, 32, 3, bias=False), randomized(OctaveBatchNorm2d(32)), PerPart(nn.ReLU())
    ).eval()
    x = octave_maps(channels=(16, 16), size=(12, 12))
    exact = layers.double()(OctaveMaps(*(p.to(dtype).double() for p in x)))
    layers = layers.to(dtype)
    x = OctaveMaps(*(part.to(dtype) for part in x))
    with torch.no_grad():
        parts = zip(fuse(layers)(x), layers(x), exact, strict=True)
        for part, of_torch, expected in parts:
            assert_accurate(part, of_torch, expected.detach())


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("alpha", [0, 0.125, 0.5])
@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_network(build: Any, alpha: float) -> None:
    network = randomized(build(alpha, num_classes=5))
    fused = fuse(network)
    for image in (torch.randn(2, 3, 64, 64), torch.randn(1, 3, 49, 71)):
        with torch.no_grad():
            torch.testing.assert_close(fused(image), network(image), rtol=1e-3, atol=1e-4)
    pre_activation = any(isinstance(m, BottleneckV2) for m in network.modules())
    assert not any(p.requires_grad for p in fused.parameters())
    assert pre_activation == any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


CONVOLUTION = {"_convolution_pointwise", "_convolution_pointwise_"}
# What moves pixels or only looks at them; the sum of a residual goes with the upsampling.
MOVES = {"pool2x2", "upsample2x2_", "clone", "empty", "detach", "new_empty", "contiguous"}


@pytest.mark.parametrize("alpha", [0, 0.5])
@pytest.mark.parametrize("name", ["oct_resnet26", "oct_mobilenet_v1", "oct_mobilenet_v2"])
def test_nothing_elementwise_is_left_between_convolutions(name: str, alpha: float) -> None:
    arguments = {"variant": "v1"} if name == "oct_resnet26" else {}
    fused = fuse(randomized(getattr(models, name)(alpha, num_classes=5, **arguments)))
    image = torch.randn(1, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    fused(image)  # lays the weights out
    with Dispatched() as log:
        fused(image)
    at = [i for i, called in enumerate(log.names) if called in CONVOLUTION]
    between = set(log.names[at[0] : at[-1]]) - CONVOLUTION - MOVES
    assert between <= {"max_pool2d_with_indices", "max_pool2d"}
    # And as many convolutions as a layer has products: one, or three where it exchanges.
    layers = [m for m in fused.modules() if isinstance(m, FusedConv2d)]
    assert len(at) <= sum(3 if layer.in_split[1] and layer.out_split[1] else 2 for layer in layers)


def test_pre_activation_keeps_the_norms_of_sums() -> None:
    """The sum goes on without them, so that no convolution can take them in."""
    fused = fuse(models.oct_resnet26(0.5, num_classes=5).eval())
    left = [name for name, m in fused.named_modules() if isinstance(m, OctaveBatchNorm2d)]
    assert left
    assert all(".before." in name or ".shortcut." in name for name in left)


def test_exported_network_calls_the_operator() -> None:
    """Whoever loads it gets few launches a layer on a GPU: no norm, sum or ReLU of octave maps."""
    fused = fuse(randomized(models.oct_resnet26(0.5, variant="v1", num_classes=5)))
    image = torch.randn(1, 3, 64, 64)
    program = torch.export.export(fused, (image,))
    called = [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
    # Of 28 octave layers: the last stage's are vanilla but for its first one, two behind a pool.
    assert called.count("octconv_cuda.inference.default") == 6 * 3 + 3 + 1
    assert called.count("octconv_cuda.pool2x2.default") == 2
    assert not any("batch_norm" in name or "forward" in name for name in called)
    torch.testing.assert_close(program.module()(image), fused(image), rtol=1e-3, atol=1e-4)


def test_compiled_network_is_the_same() -> None:
    fused = fuse(randomized(models.OctResNet((1, 1), 0.5, variant="v1", num_classes=5)))
    image = torch.randn(1, 3, 64, 64)
    compiled = torch.compile(fused, backend="aot_eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(image), fused(image), rtol=1e-3, atol=1e-4)


def test_flop_counter_counts_fused_networks() -> None:
    for alpha in (0, 0.5):
        network = models.oct_resnet26(alpha, variant="v1", num_classes=5).eval()
        expected = cost.network_cost(network, (1, 3, 64, 64)).flops
        fused = fuse(network)
        with FlopCounterMode(display=False) as counter:
            fused(torch.randn(1, 3, 64, 64))
        assert counter.get_total_flops() == expected
        assert cost.network_cost(fused, (1, 3, 64, 64)).macs * 2 == expected


def test_sequences_of_layers() -> None:
    """Also activations and norms that are not there, and what cannot be fused."""
    network = nn.Sequential(
        OctConv2d(3, 8, 3, alpha_in=0),
        PerPart(nn.ReLU()),
        OctConv2d(8, 8, 3, padding_mode="reflect"),
        OctaveBatchNorm2d(8),
        OctConv2d(8, 8, 1),
        nn.Sequential(OctConv2d(8, 8, 3), OctaveBatchNorm2d(8), PerPart(nn.SiLU())),
        PerPart(nn.Tanh()),
    )
    network = randomized(network)
    fused = fuse(network)
    one = [FusedConv2d, nn.Identity]
    assert [type(m) for m in fused] == [
        *one, OctConv2d, OctaveBatchNorm2d, FusedConv2d, nn.Sequential, PerPart,
    ]  # fmt: skip
    assert [type(m) for m in fused[5]] == [*one, nn.Identity]
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert_maps_close(fused(image), network(image), rtol=1e-4, atol=1e-5)


def test_sequences_keep_places_and_names() -> None:
    layers = {"conv": nn.Conv2d(3, 8, 3), "bn": nn.BatchNorm2d(8), "relu": nn.ReLU()}
    network = randomized(nn.Sequential(OrderedDict({**layers, "last": nn.Conv2d(8, 8, 1)})))
    fused, image = fuse(network), torch.randn(1, 3, 8, 8)
    assert list(fused._modules) == list(network._modules)
    assert type(fused.bn) is type(fused.relu) is nn.Identity
    with torch.no_grad():
        torch.testing.assert_close(fused[:3](image), network[:3](image), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fuse(fused)(image), fused(image))  # it is in evaluation mode


def test_layers_that_stand_twice() -> None:
    """Each place has the norm that follows there."""
    conv, relu = nn.Conv2d(8, 8, 3), nn.ReLU()
    network = nn.Sequential(conv, nn.BatchNorm2d(8), relu, conv, relu, conv, nn.BatchNorm2d(8))
    fused, x = fuse(randomized(network)), torch.randn(1, 8, 9, 9)
    assert [type(m) for m in fused].count(FusedConv2d) == 3
    with torch.no_grad():
        torch.testing.assert_close(fused(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("alpha", [0, 0.5])
def test_each_norm_has_its_eps(alpha: float) -> None:
    """Other frameworks' is not PyTorch's, and a checkpoint of theirs brings it along."""
    norm = OctaveBatchNorm2d(8, eps=0.1, alpha=alpha)
    if alpha:
        norm.low.eps = 0.5
    network = randomized(nn.Sequential(OctConv2d(8, 8, 3, alpha_out=alpha), norm))
    fused, x = fuse(network), octave_maps()
    with torch.no_grad():
        assert_maps_close(fused(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("absent", ["high", "low"])
def test_a_part_without_norm(absent: str) -> None:
    norm = OctaveBatchNorm2d((4, 6))
    setattr(norm, absent, nn.Identity())
    network = randomized(nn.Sequential(OctConv2d(8, (4, 6), 3), norm, PerPart(nn.ReLU())))
    fused, x = fuse(network), octave_maps()
    assert type(fused[0]) is FusedConv2d
    with torch.no_grad():
        assert_maps_close(fused(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("alpha", [0, 0.5])
def test_autocast(alpha: float) -> None:
    """A fused float32 network under autocast has its types; parts of it may meet 16-bit maps."""
    network = randomized(models.oct_resnet26(alpha, variant="v1", num_classes=5))
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        result, expected = fuse(network)(image), network(image)
    assert result.dtype == torch.bfloat16
    exact = network.double()(image.double()).detach()
    bound = 2 * (expected.double() - exact).abs().max()
    assert (result.double() - exact).abs().max() <= bound


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("stride", [1, 2])
def test_relu6_ends_at_6(stride: int) -> None:
    conv, x = OctConv2d(8, 8, 3, stride), octave_maps() * 100
    y = FusedConv2d(conv, None, "relu6")(x)
    with torch.no_grad():
        assert_maps_close(y, PerPart(nn.ReLU6())(conv(x)), rtol=1e-4, atol=1e-3)
    assert (y.high.max(), y.low.max()) == (6, 6)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("wide", ["input", "residual"])
def test_autocast_of_a_sum(wide: str) -> None:
    """What a block adds may be float32 still, where its last convolution's input is not."""
    fused, x = FusedConv2d(OctConv2d(8, 8, 3)), octave_maps()
    narrow = OctaveMaps(*(part.bfloat16() for part in x))
    with torch.autocast("cpu", torch.bfloat16):
        y = fused(narrow, x) if wide == "residual" else fused(x, narrow)
        expected = fused(narrow, narrow)
    assert_maps_close(y, expected, rtol=0, atol=0)


def test_the_errors_of_a_folded_filter_cancel() -> None:
    """But for that of the last tap: a smooth map meets their sum."""
    weight, scale = torch.randn(8, 3, 7, 7).bfloat16(), 0.5 + torch.rand(8, dtype=torch.float64)
    folded = folding.scaled(weight, scale)
    error = folded.double() - weight * scale[:, None, None, None]
    assert (error.sum((2, 3)).abs() <= 2**-8 * folded[:, :, -1, -1].abs()).all()


def test_moves_saves_and_copies() -> None:
    conv, norm = OctConv2d(8, 8, 3), randomized(OctaveBatchNorm2d(8))
    fused, x = FusedConv2d(conv, norm, "relu"), octave_maps()
    expected = fused(x)
    other = FusedConv2d(OctConv2d(8, 8, 3))
    other.activation = "relu"
    other.load_state_dict(fused.state_dict())
    for copied in (copy.deepcopy(fused), pickle.loads(pickle.dumps(fused)), other):
        assert_maps_close(copied(x), expected)
    half = copy.deepcopy(fused).to(torch.bfloat16)
    assert half.scale.dtype == torch.float32
    y = half(OctaveMaps(*(part.bfloat16() for part in x)))
    assert_maps_close(OctaveMaps(*(p.float() for p in y)), expected, rtol=0.1, atol=0.1)
    double = copy.deepcopy(fused).double()
    y = double(OctaveMaps(*(part.double() for part in x)))
    assert_maps_close(OctaveMaps(*(p.float() for p in y)), expected, rtol=1e-4, atol=1e-5)


def test_sizes_may_change() -> None:
    fused = FusedConv2d(conv := OctConv2d(8, 8, 3))
    for size in ((8, 8), (5, 9), (8, 8), (32, 6)):
        x = octave_maps(size=size)
        with torch.no_grad():
            assert_maps_close(fused(x), conv(x), rtol=1e-4, atol=1e-5)


def test_gives_no_gradients() -> None:
    x = octave_maps()
    for part in x:
        part.requires_grad_()
    y = FusedConv2d(OctConv2d(8, 8, 3))(x)
    assert not y.high.requires_grad


def test_gives_no_tangents() -> None:
    low = torch.randn(1, 4, 4, 4)
    for conv in (OctConv2d((0, 4), (0, 4), 3), OctConv2d((0, 4), (4, 4), 3)):
        with forward_ad.dual_level():
            y = FusedConv2d(conv)((None, forward_ad.make_dual(low, torch.ones_like(low))))
            assert all(p is None or forward_ad.unpack_dual(p).tangent is None for p in y)


def test_synchronised_norms_are_fused_like_others() -> None:
    """As training on several GPUs leaves them."""
    network = randomized(models.OctResNet((1, 1), 0.5, variant="v1", num_classes=5))
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(network))
    fused, expected = fuse(synchronised), fuse(network)
    kinds = [[type(m) for m in n.modules()] for n in (fused, expected)]
    assert kinds[0] == kinds[1]
    image = torch.randn(2, 3, 40, 40)
    torch.testing.assert_close(fused(image), expected(image), rtol=0, atol=0)
