"""Splits that layers take over from a checkpoint of this library, whose weights are whole."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import randomized
from torch import nn
from torch.nn.utils import parametrizations, prune

from octconv_cuda import OctaveBatchNorm2d, OctaveSplit, OctConv2d, PerPart, checkpoints, models

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


@pytest.mark.parametrize("nested", [False, True])
def test_without_norms_the_metadata_tell_the_splits(nested: bool, tmp_path: Path) -> None:
    def make(alpha: float) -> nn.Sequential:
        return nn.Sequential(
            OctConv2d(6, 8, 3, alpha_in=0, alpha_out=alpha),
            PerPart(nn.ReLU()),
            OctConv2d(8, 8, 1, alpha_in=alpha, alpha_out=0),
        )

    source, network = make(0.25), make(0.5)
    state = source.state_dict()
    torch.save({"state_dict": state} if nested else state, tmp_path / "a.pt")
    report = checkpoints.load(network, tmp_path / "a.pt")
    assert report.notes[0] == "0: (high, low) channels are (6, 0) to (6, 2), were (6, 0) to (4, 4)"
    torch.testing.assert_close(network(X[0]), source(X[0]), rtol=0, atol=0)
    as_they_come = make(0.5)
    assert checkpoints.load(as_they_come, dict(state)).notes == ()
    assert as_they_come[0].out_split == (4, 4)


def reparametrized(alpha: float, alter: Callable[[nn.Module], nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        OctConv2d(3, 8, 3, alpha_in=0, alpha_out=0),
        alter(OctConv2d(8, 8, 3, alpha_in=0, alpha_out=alpha)),
        alter(OctConv2d(8, 4, 3, alpha_in=alpha, alpha_out=0)),
    )


@pytest.mark.parametrize(
    "alter",
    [
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    ],
    ids=["weight_norm", "spectral_norm", "prune"],
)
def test_metadata_tell_of_weights_that_are_computed(alter: Callable[..., nn.Module]) -> None:
    source, network = (reparametrized(alpha, alter).eval() for alpha in (0.25, 0.5))
    checkpoints.load(network, source.state_dict())
    image = torch.randn(1, 3, 6, 6)
    torch.testing.assert_close(network(image), source(image), rtol=0, atol=0)


@pytest.mark.parametrize("wrap", ["module.", "a.b."])
def test_metadata_by_other_names(wrap: str) -> None:
    """Of what wraps a network, and of names that only the caller can translate."""

    def same(layer: nn.Module) -> nn.Module:
        return layer

    source, network = (reparametrized(alpha, same) for alpha in (0.25, 0.5))
    wrapped: nn.Module = source
    for name in reversed(wrap.split(".")[:-1]):
        wrapped = nn.ModuleDict({name: wrapped})
    checkpoints.load(network, wrapped.state_dict(), rename=lambda key: key.removeprefix(wrap))
    image = torch.randn(1, 3, 6, 6)
    torch.testing.assert_close(network(image), source(image), rtol=0, atol=0)


def test_layers_without_low_channels_tell_that_they_have_none() -> None:
    source, network = (
        nn.Sequential(
            OctConv2d(3, 8, 1, alpha_in=0, alpha_out=alpha),
            OctConv2d(8, 8, 1, alpha_in=alpha, alpha_out=0),
            OctConv2d(8, 8, 1, alpha_in=0, alpha_out=0),
        )
        for alpha in (0.25, 0)
    )
    other = nn.Sequential(source[0], source[1], OctConv2d(8, 8, 1))
    assert network[0].out_split == (8, 0)
    checkpoints.load(network, source.state_dict())
    torch.testing.assert_close(network(X[0][:, :3]), source(X[0][:, :3]), rtol=0, atol=0)
    with pytest.raises(RuntimeError, match=r"2: the weight must be .* \(4, 4\) to \(4, 4\), got"):
        other.load_state_dict(source.state_dict())


@pytest.mark.parametrize("metadata", [None, {"0": None}, {"0": {"octave_splits": "ab"}}], ids=str)
def test_metadata_that_tell_nothing(metadata: Any) -> None:
    source, network = OctConv2d(6, 8, 3, alpha_in=0), OctConv2d(6, 8, 3, alpha_in=0)
    state = source.state_dict()
    state._metadata = metadata
    assert checkpoints.load(network, state).notes == ()


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
