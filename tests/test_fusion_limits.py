"""What ``fuse`` leaves as it is, because it would be another function, and what is refused."""

from typing import Any

import pytest
import torch
from foreign import randomized
from networks import assert_maps_close, octave_maps
from torch import Tensor, nn

from octconv_cuda import (
    FusedConv2d,
    OctaveBatchNorm2d,
    OctaveMerge,
    OctaveSplit,
    OctConv2d,
    PerPart,
    fuse,
    models,
)
from octconv_cuda.models.fused import FusedBottleneck
from octconv_cuda.models.resnet import BottleneckV1, BottleneckV2


class Doubled(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class DoubledConvolution(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class DoubledBlock(BottleneckV1):
    def forward(self, x: Any) -> Any:
        return 2 * super().forward(x)


class ScaledBlock(BottleneckV1):
    def scaled(self, x: Any) -> Any:
        return 2 * super().scaled(x)


def overridden(module: nn.Module) -> nn.Module:
    module.forward = torch.cos
    return module


def hooked_before(module: nn.Module) -> nn.Module:
    module.register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],))
    return module


def narrowed(conv: nn.Conv2d) -> nn.Conv2d:
    conv.weight = nn.Parameter(conv.weight[:, :4])
    return conv


def hooked(module: nn.Module) -> nn.Module:
    module.register_forward_hook(lambda module, inputs, output: 2 * output)
    return module


@pytest.mark.parametrize(
    "network",
    [
        Doubled(nn.Conv2d(16, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(DoubledConvolution(16, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(hooked(nn.Conv2d(16, 4, 3)), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(16, 4, 3), hooked(nn.BatchNorm2d(4)), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 4, 3), nn.BatchNorm2d(4), hooked(nn.ReLU())),
        hooked(nn.Sequential(nn.Conv2d(16, 4, 3), nn.BatchNorm2d(4))),
        nn.Sequential(
            OctaveSplit(16),
            hooked(PerPart(nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1))),
            OctaveBatchNorm2d(8),
            OctaveMerge(),
        ),
        nn.Sequential(nn.Conv2d(16, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        nn.Sequential(overridden(nn.Conv2d(16, 16, 3)), nn.BatchNorm2d(16)),
        nn.Sequential(overridden(nn.Sequential(nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16)))),
        DoubledBlock(16, 4, 16),
        ScaledBlock(16, 4, 16),
        nn.Sequential(BottleneckV1(16, 4, 16)),
    ],
    ids=lambda network: type(network).__name__,
)
def test_leaves_alone_what_it_does_not_know(network: nn.Module) -> None:
    """Subclasses may compute anything, hooks too, and norms by the statistics of a batch."""
    network = randomized(network)
    if isinstance(network, nn.Sequential) and isinstance(network[0], BottleneckV1):
        network[0].conv2.register_forward_hook(lambda module, inputs, output: 2 * output)
    x = torch.randn(2, 16, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(fuse(network)(x), network(x), rtol=1e-4, atol=1e-5)


def replaced(network: nn.Module, old: type[nn.Module], new: Any) -> nn.Module:
    """The network with what ``new`` makes of each layer of the class ``old``."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is old:
                setattr(module, name, new(child))
    return network


def with_padding(mode: str) -> Any:
    def change(conv: nn.Conv2d) -> nn.Conv2d:
        channels = (conv.in_split, conv.out_split) if isinstance(conv, OctConv2d) else ()
        own = type(conv)(
            *(channels or (conv.in_channels, conv.out_channels)),
            conv.kernel_size, conv.stride, conv.padding, padding_mode=mode, groups=conv.groups,
            bias=False,
        )  # fmt: skip
        own.weight = conv.weight
        return own

    return change


def standardised(conv: nn.Conv2d) -> nn.Conv2d:
    own = StandardisedConvolution(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,
        groups=conv.groups, bias=False,
    )  # fmt: skip
    own.weight = conv.weight
    return own


class StandardisedConvolution(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


REPLACEMENTS: dict[str, Any] = {
    "GELU": (nn.ReLU, lambda relu: nn.GELU()),
    "Hardswish": (nn.ReLU6, lambda relu: nn.Hardswish()),
    "ReLU for ReLU6": (nn.ReLU6, lambda relu: nn.ReLU()),
    "GroupNorm": (nn.BatchNorm2d, lambda norm: nn.GroupNorm(2, norm.num_features)),
    "Identity": (nn.BatchNorm2d, lambda norm: nn.Identity()),
    "weight standardisation": (nn.Conv2d, standardised),
    "reflect": (nn.Conv2d, with_padding("reflect")),
    "octave, replicate": (OctConv2d, with_padding("replicate")),
}
SMALL: dict[str, Any] = {
    **{
        f"resnet {variant}{' se' * se}": lambda alpha, variant=variant, se=se: models.OctResNet(
            (1, 1), alpha, variant=variant, se=se, num_classes=5
        )
        for variant in ("v1", "v2")
        for se in (False, True)
    },
    "mobilenet_v1": lambda alpha: models.MobileNetV1(alpha, width=0.25, num_classes=5),
    "mobilenet_v2": lambda alpha: models.MobileNetV2(alpha, width=0.25, num_classes=5),
}


@pytest.mark.parametrize("alpha", [0, 0.5])
@pytest.mark.parametrize("replacement", REPLACEMENTS)
@pytest.mark.parametrize("network", SMALL)
def test_networks_whose_parts_were_replaced(network: str, replacement: str, alpha: float) -> None:
    changed = replaced(randomized(SMALL[network](alpha)), *REPLACEMENTS[replacement]).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(fuse(changed)(image), changed(image), rtol=1e-3, atol=1e-4)


def test_networks_whose_stem_was_replaced() -> None:
    """By a sequence, whose last convolution takes in what follows; and in a subclass."""

    class Absolute(models.OctResNet):
        def features(self, image: Tensor) -> Tensor:
            return self.maxpool(self.relu(self.bn1(self.conv1(image).abs())))

    deep = models.OctResNet((1, 1), 0.5, num_classes=5)
    deep.conv1 = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 64, 3))
    absolute = Absolute((1, 1), 0.5)
    absolute.fc = nn.Linear(64, 5)
    other = models.OctResNet((1, 1), 0.5, num_classes=5)
    other.conv1 = nn.Sequential(nn.Conv2d(3, 64, 3, 2, 1), nn.Tanh())
    image = torch.randn(1, 3, 64, 64)
    for network in map(randomized, (deep, absolute, other)):
        fused = fuse(network)
        with torch.no_grad():
            torch.testing.assert_close(fused(image), network(image), rtol=1e-3, atol=1e-4)
        assert any(isinstance(m, FusedConv2d) for m in fused.layer1.modules())
    assert [type(m) for m in fuse(deep).conv1] == [FusedConv2d, nn.Identity, FusedConv2d]


@pytest.mark.parametrize("conv", ["conv1", "conv3"])
def test_blocks_whose_convolution_is_a_sequence(conv: str) -> None:
    """The last one of a block must take a residual."""
    block = BottleneckV1(16, 4, 16, alphas=(0.5, 0.5))
    setattr(block, conv, nn.Sequential(getattr(block, conv)))
    randomized(block)
    x = octave_maps(channels=(8, 8))
    with torch.no_grad():
        assert_maps_close(fuse(block)(x), block(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "channels"),
    [
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(4)), (3, 0)),
        (nn.Sequential(OctConv2d(8, 8, 1), nn.BatchNorm2d(8)), (4, 4)),
        (nn.Sequential(OctConv2d(8, 8, 1), OctaveBatchNorm2d((6, 2))), (4, 4)),
    ],
    ids=["vanilla", "octave", "split"],
)
def test_norms_of_other_channels_are_refused_at_the_call(network: Any, channels: Any) -> None:
    fused = fuse(network.eval())
    x = octave_maps(channels=channels)
    errors = []
    for module in (network, fused):
        with pytest.raises(Exception, match=r"\w") as caught:
            module(x if channels[1] else x.high)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_refuses() -> None:
    with pytest.raises(ValueError, match="fuse: the network must be in evaluation mode"):
        fuse(nn.Sequential(OctConv2d(8, 8, 3)))
    network = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)).eval()
    network[1].train()
    with pytest.raises(ValueError, match=r"fuse: the network must be in evaluation mode.* at '1'"):
        fuse(network)
    with pytest.raises(ValueError, match=r"FusedConv2d: input must be a \(high, low\) pair"):
        FusedConv2d(OctConv2d(8, 8, 3))(torch.randn(1, 4, 8, 8))
    with pytest.raises(ValueError, match=r"FusedConv2d: the high part of the input must be \(N,"):
        FusedConv2d(OctConv2d(8, 8, 3))((torch.randn(4, 8, 8), torch.randn(4, 4, 4)))
    with pytest.raises(TypeError, match="FusedConv2d: the low part of the input must be a tensor"):
        FusedConv2d(OctConv2d(8, 8, 3))((torch.randn(1, 4, 8, 8), "low"))
    with pytest.raises(TypeError, match="FusedConv2d: the low part must have the dtype of the hig"):
        FusedConv2d(OctConv2d(8, 8, 3))((torch.randn(1, 4, 8, 8), torch.randn(1, 4, 4, 4).double()))
    x = octave_maps()
    for conv, given in ((OctConv2d(8, 8, 3), x), (nn.Conv2d(4, 8, 3), x.high)):
        fused = FusedConv2d(conv)
        with pytest.raises(TypeError, match="FusedConv2d: the input must have the dtype of the we"):
            fused.double()(given)
        with pytest.raises(ValueError, match="FusedConv2d: the input must be on the device of the"):
            fused.float().to("meta")(given)
    for wrong, text in ((x.low.double(), "must have the dtype of the input"), ("low", "must be a")):
        with pytest.raises(TypeError, match=f"the low part of the residual {text}"):
            FusedConv2d(OctConv2d(8, 8, 3))(x, (x.high, wrong))


class Batch(nn.BatchNorm2d):
    pass


CONV, OCTAVE = nn.Conv2d(8, 8, 3), OctConv2d(8, 8, 3)


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ((nn.ConvTranspose2d(8, 8, 3),), "conv must be an nn.Conv2d or an OctConv2d .*got ConvTr"),
        ((DoubledConvolution(8, 8, 3),), "conv must be an nn.Conv2d .*got DoubledConvolution"),
        ((hooked(nn.Conv2d(8, 8, 3)),), "conv must compute what its class does, got one with"),
        ((overridden(nn.Conv2d(8, 8, 3)),), "conv must compute what its class does"),
        (
            (narrowed(nn.Conv2d(8, 8, 3)),),
            "the weight of conv must have .8, 8. channels",
        ),
        ((hooked_before(nn.Conv2d(8, 8, 3)),), "conv must compute what its class does"),
        ((nn.Conv2d(8, 8, 3, padding_mode="reflect"),), "padding_mode of conv .*got 'reflect'"),
        ((OctConv2d(8, 8, 3, padding_mode="circular"),), "padding_mode of conv .*got 'circular'"),
        ((nn.Conv2d(8, 8, 3, padding="same"),), "padding of conv must be in numbers, got 'same'"),
        ((nn.Conv2d(8, 8, 3, dtype=torch.complex64),), "conv must be float32, .*complex64"),
        (
            (CONV, nn.GroupNorm(2, 8)),
            "norm must be an nn.BatchNorm2d, nn.SyncBatchNorm or .*got GroupNorm",
        ),
        ((CONV, Batch(8)), "norm must be an nn.BatchNorm2d, nn.SyncBatchNorm or .*got Batch"),
        ((CONV, hooked(nn.BatchNorm2d(8))), "norm must compute what its class does"),
        ((CONV, nn.BatchNorm2d(4)), "norm must have 8 channels like conv, got 4"),
        ((CONV, nn.BatchNorm2d(8, track_running_stats=False)), "norm must have running statistics"),
        ((OCTAVE, nn.BatchNorm2d(8)), r"norm must have the .* \(4, 4\), got an nn.BatchNorm2d"),
        ((OCTAVE, OctaveBatchNorm2d((6, 2))), r"norm must have the .* \(4, 4\), got \(6, 2\)"),
        ((CONV, None, "gelu"), "activation must be one of .*got 'gelu'"),
        ((CONV, None, None), "activation must be one of .*got None"),
        ((CONV, None, ["relu"]), r"activation must be one of .*got \['relu'\]"),
        ((CONV, 3), "norm must be an nn.BatchNorm2d, nn.SyncBatchNorm or .*got int"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_refuses_what_it_does_not_know(layers: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"FusedConv2d: {text}"):
        FusedConv2d(*layers)


def in_place_first(conv: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(inplace=True), conv)


@pytest.mark.parametrize("change", ["no norm", "branch", "shortcut"])
@pytest.mark.parametrize("block", [BottleneckV1, BottleneckV2])
def test_what_writes_into_the_input_of_a_block(block: Any, change: str) -> None:
    """Branch and shortcut come in the order of the block, whose ReLU works in place."""
    network = randomized(block(16, 4, 32))
    if change == "no norm":
        network.bn1 = nn.Identity()
    elif change == "branch":
        network.conv1 = in_place_first(network.conv1)
    else:
        network.downsample[0] = in_place_first(network.downsample[0])
    network.eval()
    x = torch.randn(2, 16, 9, 9)
    with torch.no_grad():
        expected = network(x.clone())
        torch.testing.assert_close(fuse(network)(x.clone()), expected, rtol=1e-4, atol=1e-5)


def test_a_method_of_a_block_may_be_its_own() -> None:
    block = randomized(BottleneckV1(16, 4, 16))
    block.scaled = lambda y: 2 * y
    x = torch.randn(2, 16, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(fuse(block)(x), block(x), rtol=1e-4, atol=1e-5)


def test_a_module_in_several_places_is_fused_in_all() -> None:
    block = BottleneckV1(16, 4, 16)
    network = randomized(nn.Sequential(block, block, nn.Sequential(block)))
    fused = fuse(network)
    assert fused[0] is fused[1] is fused[2][0]
    assert isinstance(fused[0], FusedBottleneck)
    x = torch.randn(2, 16, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride", [2, [2, 2]])
def test_arguments_that_a_layer_was_given_later(stride: Any) -> None:
    """Eager layers take numbers and lists in place of pairs."""
    plain, octave = nn.Conv2d(3, 4, 3, padding=1).eval(), OctConv2d(8, 8, 3).eval()
    plain.padding, plain.stride, octave.stride = 1, stride, stride
    x, maps = torch.randn(2, 3, 9, 9), octave_maps(2, (4, 4), (9, 9))
    with torch.no_grad():
        torch.testing.assert_close(FusedConv2d(plain)(x), plain(x), rtol=1e-4, atol=1e-5)
        assert_maps_close(FusedConv2d(octave)(maps), octave(maps), rtol=1e-4, atol=1e-5)
    octave.stride = (2, 1)
    with pytest.raises(ValueError, match="FusedConv2d: stride must be 1 or 2"):
        FusedConv2d(octave)


def test_norms_without_a_factor_or_a_sum() -> None:
    norms = randomized(nn.BatchNorm2d(4)), randomized(nn.BatchNorm2d(4))
    norms[0].bias, norms[1].weight = None, None
    conv, x = nn.Conv2d(3, 4, 3).eval(), torch.randn(2, 3, 9, 9)
    for norm in norms:
        with torch.no_grad():
            expected = norm(conv(x))
            torch.testing.assert_close(FusedConv2d(conv, norm)(x), expected, rtol=1e-4, atol=1e-5)


def test_a_weight_of_other_channels_than_the_layer_says_is_left() -> None:
    """As pruning of whole filters leaves it."""
    network = randomized(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))
    network[0].weight = nn.Parameter(network[0].weight[:4].clone())
    network[0].bias = nn.Parameter(network[0].bias[:4].clone())
    x = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(fuse(network)(x), network(x))
