"""Weights of other implementations give the outputs of their four convolutions."""

from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import FourConvolutions, Network, merged, randomized, spelled
from safetensors.torch import save_file
from torch import Tensor, nn

from octconv_cuda import OctaveBatchNorm2d, OctConv2d, checkpoints, models

ALL = ("hh", "hl", "lh", "ll")
AUTHORS = ("hh", "hl")
X = (torch.randn(2, 6, 8, 12), torch.randn(2, 10, 4, 6))
OF_AUTHORS = {"hh": "hf_conv", "hl": "hf_pool_conv", "lh": "lf_conv", "ll": "lf_down_conv"}


def assert_same(layer: nn.Module, source: nn.Module, x: Any = X) -> None:
    result = layer(x)
    parts = (result, None) if isinstance(result, Tensor) else result
    for part, expected in zip(parts, source(x), strict=True):
        assert (part is None) == (expected is None)
        if part is not None:
            torch.testing.assert_close(part, expected, rtol=1e-4, atol=1e-5)


SCHEMES = [
    ("conv_{a}2{b}", True),
    ("{a}2{b}", True),
    ("{A}2{B}", True),
    ("{A}to{B}", True),
    ("w{A}to{B}", False),
    ("W_{A}{B}", True),
    ("conv_{a}{b}", True),
    ("w{a}{b}", False),
    (OF_AUTHORS.__getitem__, True),
]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("form", "ending"), SCHEMES, ids=[str(i) for i in range(len(SCHEMES))])
def test_scheme(form: Any, ending: bool, stride: int) -> None:
    """The layer that loads was made with another split, which the shapes correct."""
    source = FourConvolutions((6, 10), (4, 8), stride=stride, biases=ALL if ending else ())
    layer = OctConv2d(16, 12, 3, stride, bias=ending)
    report = checkpoints.load(layer, source.state(form, ending))
    assert (layer.in_split, layer.out_split) == ((6, 10), (4, 8))
    assert len(report.folded["weight"]) == 4
    assert report.matched == {}
    assert (report.missing, report.unexpected) == ((), ())
    assert any("(6, 10) to (4, 8)" in note for note in report.notes)
    assert_same(layer, source)


@pytest.mark.parametrize("separator", ["-", "_conv-"])
def test_scheme_of_mxnet(separator: str) -> None:
    """The bias of the authors' code is that of the paths from high."""
    source = FourConvolutions((6, 10), (4, 8), biases=AUTHORS)
    state = {
        key.replace(".", "_"): value
        for key, value in source.state(
            lambda p: f"conv1{separator}" + spelled("{a}2{b}", p)
        ).items()
    }
    network = nn.ModuleDict({"conv1": OctConv2d((6, 10), (4, 8), 3)})
    checkpoints.load(network, state, rename=lambda key: key.replace("conv1_conv", "conv1"))
    assert_same(network["conv1"], source)


@pytest.mark.parametrize("biases", [("hh",), ("hh", "hl"), ALL, ("ll", "hh", "hl")], ids=str)
def test_biases_add_up(biases: tuple[str, ...]) -> None:
    source = FourConvolutions((6, 10), (4, 8) if len(biases) > 1 else (12, 0), biases=biases)
    layer = OctConv2d(16, 12, 3)
    checkpoints.load(layer, source.state("conv_{a}2{b}"))
    assert_same(layer, source)


@pytest.mark.parametrize("kind", ["first", "last"])
def test_first_and_last_layers(kind: str) -> None:
    channels = ((6, 0), (4, 8)) if kind == "first" else ((6, 10), (12, 0))
    source = FourConvolutions(*channels, biases=ALL)
    for form in ("conv_{a}2{b}", "convh and convl"):
        if form == "convh and convl":
            other = "hl" if kind == "first" else "lh"
            state = source.state(lambda p, other=other: {"hh": "convh", other: "convl"}[p])
        else:
            state = source.state(form)
        layer = OctConv2d(*map(sum, channels), 3)
        checkpoints.load(layer, dict(reversed(state.items())))
        assert_same(layer, source, X[0] if kind == "first" else X)


def test_first_and_last_layers_that_only_the_channel_count_tells_apart() -> None:
    """At alpha 0.5 both can have two weights of one shape."""
    state = {name: torch.randn(8, 8, 3, 3) for name in ("convh.weight", "convl.weight")}
    first, last = OctConv2d(8, 16, 3, bias=False), OctConv2d(16, 8, 3, bias=False)
    checkpoints.load(first, state)
    checkpoints.load(last, state)
    assert (first.in_split, first.out_split) == ((8, 0), (8, 8))
    assert (last.in_split, last.out_split) == ((8, 8), (8, 0))
    with pytest.raises(ValueError, match="neither first nor last layer of 8 to 8 channels"):
        checkpoints.load(OctConv2d(8, 8, 3, bias=False), state)


def test_a_path_that_is_not_there_is_zero() -> None:
    source = FourConvolutions((6, 10), (12, 0))
    del source.paths["lh"]
    layer = OctConv2d(16, 12, 3, bias=False)
    with pytest.raises(ValueError, match="missing: weight, path lh"):
        checkpoints.load(layer, source.state("conv_{a}2{b}"))
    checkpoints.load(layer, source.state("conv_{a}2{b}"), strict=False)
    assert_same(layer, source)


@pytest.mark.parametrize("part", "hl")
def test_paths_of_one_part_alone(part: str) -> None:
    """The other part's columns are the rest, and zero."""
    source = FourConvolutions((6, 10), (4, 8))
    state = {k: v for k, v in source.state("{a}2{b}").items() if k.startswith(part)}
    layer = OctConv2d((6, 10), (4, 8), 3, bias=False)
    report = checkpoints.load(layer, state, strict=False)
    other = "l" if part == "h" else "h"
    assert report.missing == tuple(f"weight, path {other}{b}" for b in "hl")
    zero = layer.weight[:, 6:] if part == "h" else layer.weight[:, :6]
    assert layer.in_split == (6, 10)
    assert not zero.any()


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise(stride: int) -> None:
    source = FourConvolutions((6, 10), (6, 10), stride=stride, groups=16)
    layer = OctConv2d(16, 16, 3, stride, groups=16, bias=False)
    checkpoints.load(layer, source.state("conv_{a}2{b}"))
    assert_same(layer, source)


def test_groups() -> None:
    source = FourConvolutions((6, 10), (4, 8), groups=2)
    layer = OctConv2d(16, 12, 3, groups=2, bias=False)
    checkpoints.load(layer, source.state("conv_{a}2{b}"))
    assert_same(layer, source)


@pytest.mark.parametrize("name", ["weight", "weights"])
def test_whole_weight(name: str) -> None:
    """Where it is called ``weights``, the code adds its one bias in both paths."""
    source = FourConvolutions((6, 10), (4, 8), biases=ALL if name == "weights" else AUTHORS)
    bias = torch.randn(12)
    for path, conv in source.paths.items():
        if conv.bias is not None:
            conv.bias.data = bias[:4] if path[1] == "h" else bias[4:]
    layer = OctConv2d((6, 10), (4, 8), 3)
    report = checkpoints.load(layer, {name: merged(source), "bias": bias})
    assert_same(layer, source)
    assert (name == "weights") == any("doubled" in note for note in report.notes)


@pytest.mark.parametrize("in_split", [(6, 0), (0, 6)], ids=str)
def test_a_bias_of_one_path_is_not_doubled(in_split: tuple[int, int]) -> None:
    """A layer with one part in has one path to each part out, whatever its weight is called."""
    state = {"weights": torch.randn(12, 6, 3, 3), "bias": torch.randn(12)}
    layer = OctConv2d(in_split, (4, 8), 3)
    report = checkpoints.load(layer, state)
    assert torch.equal(layer.bias, state["bias"])
    assert report.notes == ()


def test_bias_with_more_dimensions() -> None:
    state = {name: torch.randn(4, 4, 3, 3) for name in ("whh", "whl", "wlh", "wll")}
    layer = OctConv2d(8, 8, 3)
    checkpoints.load(layer, {**state, "bias": (bias := torch.randn(1, 8, 1, 1))})
    assert torch.equal(layer.bias, bias.flatten())


def test_a_bias_before_a_norm_is_kept() -> None:
    source = FourConvolutions((6, 10), (4, 8), biases=ALL)
    layer = OctConv2d(16, 12, 3, bias=False)
    report = checkpoints.load(layer, source.state("H2H".replace("H", "{A}", 1).replace("H", "{B}")))
    assert "the layer: has a bias now" in report.notes
    assert_same(layer, source)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_a_new_bias_is_of_the_layers_dtype(dtype: torch.dtype) -> None:
    layer = OctConv2d((6, 10), (4, 8), 3, bias=False, dtype=dtype)
    state = {"weight": torch.randn(12, 16, 3, 3), "bias": torch.randn(12)}
    checkpoints.load(layer, state)
    assert torch.equal(layer.bias, state["bias"].to(dtype))
    assert layer([part.to(dtype) for part in X]).high.dtype == dtype


@pytest.mark.parametrize(
    "names",
    [("bn_h", "bn_l"), ("bnh", "bnl"), ("hf_bn", "lf_bn"), ("bn_hf", "bn_lf"), ("high", "low")],
    ids=str,
)
def test_norms(names: tuple[str, str]) -> None:
    parts = [randomized(nn.BatchNorm2d(c)) for c in (6, 10)]
    state = {
        f"{name}.{key}": value
        for name, part in zip(names, parts, strict=True)
        for key, value in part.state_dict().items()
    }
    norm = OctaveBatchNorm2d(16).eval()
    report = checkpoints.load(norm, state)
    assert len(report.matched) == 10
    for part, result, x in zip(parts, norm(X), X, strict=True):
        assert torch.equal(part(x), result)


@pytest.mark.parametrize(
    "wrapper", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
@pytest.mark.parametrize("late", [False, True])
def test_network_of_public_weights(late: bool, wrapper: str) -> None:
    """Both placements of the last stage: its splits come from the checkpoint."""
    source = randomized(Network(late))
    network = models.oct_resnet26(0.5, variant="v1", num_classes=5).eval()
    state = {f"{wrapper}{name}": value for name, value in source.names().items()}
    report = checkpoints.load(network, state)
    assert len(report.matched) + sum(map(len, report.folded.values())) == len(state)
    assert bool(report.notes) == late
    image = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(network(image), source(image), rtol=1e-3, atol=1e-4)


def test_vanilla_weights_are_an_initialisation() -> None:
    """The keys of torchvision's ResNet-50."""
    twin = randomized(models.oct_resnet50(0, variant="v1", num_classes=5))
    network = models.oct_resnet50(0.5, variant="v1", num_classes=5).eval()
    state = twin.state_dict()
    assert "layer1.0.downsample.1.running_var" in state
    assert "layer4.2.conv3.weight" in state
    report = checkpoints.load(network, state)
    assert set(report.matched.values()) == set(state)
    assert torch.equal(network.layer2[0].conv2.weight, state["layer2.0.conv2.weight"])
    assert torch.equal(network.layer1[0].bn3.low.bias, state["layer1.0.bn3.bias"][128:])
    # With one constant image there is nothing that a low resolution could lose, but at the borders.
    assert network(torch.ones(1, 3, 224, 224)).isfinite().all()


def test_a_saved_network_loads_back(tmp_path: Path) -> None:
    source = randomized(models.oct_mobilenet_v2(0.5, num_classes=5))
    torch.save({"state_dict": source.state_dict(), "epoch": 3}, tmp_path / "a.pt")
    network = models.oct_mobilenet_v2(0.5, num_classes=5).eval()
    report = checkpoints.load(network, tmp_path / "a.pt")
    assert len(report.matched) == len(source.state_dict())
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(network(image), source(image))


def test_what_a_training_script_saves_loads_without_a_file() -> None:
    source, layer = FourConvolutions((6, 10), (4, 8)), OctConv2d(16, 12, 3, bias=False)
    state = source.state("conv_{a}2{b}")
    checkpoints.load(layer, {"state_dict": {"model": state}, "epoch": 3})
    assert_same(layer, source)


def test_blocks_that_were_compiled_load() -> None:
    """``torch.compile(block)`` puts a name between."""
    source = randomized(models.OctResNet((1,) * 4, num_classes=5))
    state = source.state_dict()
    compiled = {key.replace("layer2.0.", "layer2.0._orig_mod."): v for key, v in state.items()}
    assert compiled.keys() != state.keys()
    network = models.OctResNet((1,) * 4, num_classes=5)
    checkpoints.load(network, compiled)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_safetensors(tmp_path: Path) -> None:
    source = FourConvolutions((6, 10), (4, 8))
    save_file(source.state("conv_{a}2{b}"), tmp_path / "a.safetensors")
    layer = OctConv2d(16, 12, 3, bias=False)
    checkpoints.load(layer, tmp_path / "a.safetensors")
    assert_same(layer, source)


class Code:
    """What a file could run when it is read."""

    def __reduce__(self) -> Any:
        return (print, ("code of a checkpoint",))


def test_code_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": Code()}, tmp_path / "a.pt")
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        checkpoints.read(tmp_path / "a.pt")
    assert capsys.readouterr().out == ""
    torch.save([1, 2], tmp_path / "b.pt")
    with pytest.raises(ValueError, match=r"b\.pt must hold tensors by their names, got list"):
        checkpoints.read(tmp_path / "b.pt")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("layer1.0.conv1.bn_h.running_mean", torch.ones(7), r"running_mean must be \(32,\), got"),
        ("layer1.0.conv1.conv.conv_l2l.weight", torch.ones(32, 9, 1, 1), "weight must be"),
        ("fc.weight", torch.ones(6, 2048), r"fc: the weight must be \(5, 2048\)"),
        ("layer1.0.conv1.bn_h.scale", torch.ones(32), "unexpected: .*scale"),
        ("layer1.0.conv1.bn_h.weight", "32", "must be a tensor or an array, got str"),
    ],
)
def test_a_network_that_refuses_is_as_it_was(key: str, value: Any, text: str) -> None:
    network = models.oct_resnet26(0.25, variant="v1", num_classes=5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises((ValueError, TypeError), match=f"(?s)checkpoints.load: .*{text}"):
        checkpoints.load(network, {**Network().names(), key: value})
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_a_norm_without_factors_cannot_take_is_reported() -> None:
    source, norm = OctaveBatchNorm2d(16), OctaveBatchNorm2d(16, affine=False)
    with pytest.raises(ValueError, match=r"(?s)unexpected: high\.weight.*unexpected: low\.bias"):
        checkpoints.load(norm, source.state_dict())


def test_nothing_is_dropped_silently() -> None:
    source = FourConvolutions((6, 10), (4, 8))
    state = {**source.state("conv_{a}2{b}"), "extra.weight": torch.ones(3)}
    layer = OctConv2d(16, 12, 3)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    with pytest.raises(ValueError, match=r"(?s)missing: bias.*unexpected: extra\.weight"):
        checkpoints.load(layer, state)
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
    assert layer.in_split == (8, 8)
    report = checkpoints.load(layer, state, strict=False)
    assert report.missing == ("bias",)
    assert report.unexpected == ("extra.weight",)
    assert "1 folded from 4" in str(report)


def test_another_default_device() -> None:
    layer, source = nn.Linear(3, 2), nn.Linear(3, 2).state_dict()
    with torch.device("meta"):
        checkpoints.load(layer, {key: value.numpy() for key, value in source.items()})
        checkpoints.load(layer, source)
    assert torch.equal(layer.weight, source["weight"])


def test_blocks_of_several_dtypes_keep_the_finest() -> None:
    source = FourConvolutions((6, 10), (4, 8))
    state = source.state("conv_{a}2{b}")
    state["conv_h2h.weight"] = state["conv_h2h.weight"].half()
    layer = OctConv2d(16, 12, 3)
    checkpoints.load(layer, state, strict=False)
    assert torch.equal(layer.weight[4:, 6:], state["conv_l2l.weight"])


def test_a_fully_connected_layer_that_was_a_convolution() -> None:
    weight = torch.randn(3, 4, 7, 7)
    layer = nn.Linear(4 * 49, 3, bias=False)
    checkpoints.load(layer, {"weight": weight})
    assert torch.equal(layer.weight, weight.flatten(1))


def test_float8_beside_others() -> None:
    state = {f"H2{b}.weight": torch.ones(4, 4, 1, 1) / 3 for b in "HL"}
    state |= {f"L2{b}.weight": torch.ones(4, 4, 1, 1).to(torch.float8_e4m3fn) for b in "HL"}
    layer = OctConv2d(8, 8, 1, bias=False)
    checkpoints.load(layer, state)
    assert torch.equal(layer.weight[:4, :4], state["H2H.weight"])
