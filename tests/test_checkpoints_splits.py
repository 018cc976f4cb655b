"""Splits that layers take over from a checkpoint of this library, whose weights are whole."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from foreign import randomized
from torch import nn

from octconv_cuda import OctaveBatchNorm2d, OctaveSplit, OctConv2d, checkpoints, models

X = (torch.randn(2, 6, 8, 12), torch.randn(2, 10, 4, 6))


@pytest.mark.parametrize("alpha", [0.25, 0.75])
@pytest.mark.parametrize(
    "make",
    [
        partial(models.OctResNet, (1, 1, 1, 1), variant="v1", se=True, num_classes=5),
        partial(models.OctResNet, (1, 1, 1, 1), variant="v2", groups=4, num_classes=5),
        partial(models.MobileNetV1, width=0.5, num_classes=5),
        partial(models.MobileNetV2, width=0.5, num_classes=5),
    ],
    ids=["v1 and se", "v2 and groups", "mobilenet_v1", "mobilenet_v2"],
)
def test_whole_weights_take_the_splits_of_the_norms(
    make: Callable[..., nn.Module], alpha: float
) -> None:
    """A checkpoint of this library with another alpha: its convolutions have vanilla shapes."""
    source, network = randomized(make(alpha)), make(0.5).eval()
    report = checkpoints.load(network, source.state_dict())
    assert (report.missing, report.unexpected) == ((), ())
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(network(image), source(image))


@pytest.mark.parametrize("alpha", [0.25, 1])
def test_norms_without_factors_tell_their_splits(alpha: float) -> None:
    def make(alpha: float) -> nn.Sequential:
        norm = OctaveBatchNorm2d(8, affine=False, alpha=alpha)
        return nn.Sequential(OctConv2d(6, 8, 3, alpha_in=0, alpha_out=alpha), norm)

    source, network = make(alpha), make(0.5).eval()
    source(X[0])  # for statistics
    report = checkpoints.load(network, source.eval().state_dict())
    assert (report.missing, report.unexpected) == ((), ())
    torch.testing.assert_close(network(X[0]), source(X[0]), rtol=0, atol=0)


def test_what_splits_a_tensor_goes_with_the_norms() -> None:
    def make(channels: tuple[int, int]) -> nn.Sequential:
        return nn.Sequential(
            OctaveSplit(channels), OctaveBatchNorm2d(channels), OctConv2d(channels, (8, 0), 1)
        )

    source, network = randomized(make((6, 2))).eval(), make((4, 4)).eval()
    checkpoints.load(network, source.state_dict())
    assert network[0].channels == (6, 2)
    x = torch.randn(1, 8, 5, 6)
    assert torch.equal(network(x), source(x))


def norms_of_one_split() -> nn.Sequential:
    """Their channel counts alone do not say which of the norms the last convolution goes with."""
    return nn.Sequential(
        OctConv2d(3, 8, 1, alpha_in=0),
        OctaveBatchNorm2d(8),
        OctConv2d(8, 8, 1),
        OctaveBatchNorm2d(8),
    )


@pytest.mark.parametrize(
    ("network", "splits"),
    [
        (norms_of_one_split(), {1: (6, 2), 3: (4, 4)}),
        (nn.Sequential(OctConv2d(8, 16, 1), OctaveBatchNorm2d(16)), {1: (12, 4)}),
        (nn.Sequential(OctConv2d(8, (8, 0), 1), OctaveBatchNorm2d((8, 0))), {1: (4, 4)}),
    ],
    ids=["norms that part ways", "no norm tells", "new parts"],
)
def test_splits_that_nothing_tells_are_refused(
    network: nn.Sequential, splits: dict[int, tuple[int, int]]
) -> None:
    state = network.state_dict()
    for i, split in splits.items():
        norm = OctaveBatchNorm2d(split).state_dict()
        state = {key: value for key, value in state.items() if not key.startswith(f"{i}.")}
        state |= {f"{i}.{key}": value for key, value in norm.items()}
    before = str(network)
    with pytest.raises(
        ValueError, match=r"checkpoints\.load: \d: the source must tell by its norms"
    ):
        checkpoints.load(network, state)
    assert str(network) == before


def test_groups_that_do_not_divide_the_splits_of_the_source_are_refused() -> None:
    network = nn.Sequential(OctConv2d(8, 8, 1, groups=4), OctaveBatchNorm2d(8))
    state = {
        **network.state_dict(),
        **nn.Sequential(nn.Identity(), OctaveBatchNorm2d((6, 2))).state_dict(),
    }
    with pytest.raises(ValueError, match=r"checkpoints\.load: 0: groups=4 must divide"):
        checkpoints.load(network, state)


def test_a_norm_with_other_parts_keeps_its_parameters() -> None:
    """Optimizers hold them; a hook stays, what is frozen stays frozen, and new parts are alike."""
    source, norm = randomized(OctaveBatchNorm2d((6, 10))), OctaveBatchNorm2d(16, eps=0.1)
    norm.high.bias.requires_grad_(False)
    held = dict(norm.named_parameters())
    norm.low.register_forward_hook(lambda *_: None)
    checkpoints.load(norm, source.state_dict())
    assert all(parameter is held[name] for name, parameter in norm.named_parameters())
    assert [name for name, p in norm.named_parameters() if not p.requires_grad] == ["high.bias"]
    assert len(norm.low._forward_hooks) == 1
    source.high.eps = source.low.eps = 0.1
    assert all(map(torch.equal, norm.eval()(X), source(X)))
    whole = OctaveBatchNorm2d((16, 0)).requires_grad_(False)
    checkpoints.load(whole, source.state_dict())
    assert not any(p.requires_grad for p in whole.parameters())
    assert len(list(whole.parameters())) == 4


def test_a_norm_with_other_parts_forgets_its_gradients() -> None:
    source, norm = randomized(OctaveBatchNorm2d((6, 10))), OctaveBatchNorm2d(16)
    norm((torch.randn(2, 8, 8, 12), torch.randn(2, 8, 4, 6))).high.sum().backward()
    checkpoints.load(norm, source.state_dict())
    assert all(parameter.grad is None for parameter in norm.parameters())


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_a_wrapped_network(wrap: Callable[[nn.Module], nn.Module]) -> None:
    source = randomized(models.oct_resnet26(0.25, num_classes=5))
    network = models.oct_resnet26(0.5, num_classes=5).eval()
    report = checkpoints.load(wrap(network), wrap(source).state_dict())
    assert (report.missing, report.unexpected) == ((), ())
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(network(image), source(image))


def test_a_network_stays_in_evaluation_mode() -> None:
    """A part that is no more, too: fuse asks all modules."""
    source = models.oct_resnet26(1, num_classes=5)
    network = models.oct_resnet26(0.5, num_classes=5).eval()
    checkpoints.load(network, source.state_dict())
    assert not any(module.training for module in network.modules())


def test_a_low_part_does_not_fit_a_vanilla_norm() -> None:
    """Of a network with alpha 1, which is another function than the vanilla one."""
    source, network = models.oct_resnet26(1, num_classes=5), models.oct_resnet26(0, num_classes=5)
    with pytest.raises(ValueError, match="unexpected"):
        checkpoints.load(network, source.state_dict())


def test_a_module_in_two_places() -> None:
    norm, conv = OctaveBatchNorm2d(8), OctConv2d(8, 8, 1)
    network = nn.Sequential(norm, conv, norm, conv)
    report = checkpoints.load(network, network.state_dict())
    assert (report.missing, report.unexpected) == ((), ())


@pytest.mark.parametrize("kind", ["sparse", "complex"])
def test_tensors_of_other_kinds_are_refused(kind: str) -> None:
    network = nn.Sequential(OctConv2d(8, 8, 1), OctaveBatchNorm2d(8))
    state = network.state_dict()
    for key, value in state.items():
        state[key] = value.to_sparse() if kind == "sparse" and value.dim() else value
        state[key] = value.to(torch.complex64) if kind == "complex" else state[key]
    with pytest.raises(TypeError, match="must be a dense tensor of real numbers"):
        checkpoints.load(network, state)
