"""OctConv2d where nn.Conv2d stood: the same signature, parameters, files and habits."""

import copy
import inspect
import io
import itertools
import pickle
from typing import Any

import pytest
import torch
from networks import assert_same_maps, octave_maps
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from octconv_cuda import OctaveMaps, OctConv2d, PerPart, oct_conv2d

MAPS = octave_maps()


def vanilla(**arguments: Any) -> nn.Conv2d:
    return nn.Conv2d(8, 8, **{"kernel_size": 3, "padding": 1, **arguments})


def test_signature_is_that_of_conv2d() -> None:
    own = list(inspect.signature(OctConv2d).parameters.values())
    theirs = list(inspect.signature(nn.Conv2d).parameters.values())
    assert [p.name for p in own[: len(theirs)]] == [p.name for p in theirs]
    differing = {a.name for a, b in zip(own, theirs, strict=False) if a.default != b.default}
    assert differing == {"padding"}
    assert all(p.kind is p.KEYWORD_ONLY for p in own[len(theirs) :])


def test_arguments_by_position() -> None:
    layer = OctConv2d(8, 16, 3, 2, 2, 2, 2, False, "reflect", "meta", torch.float64)
    assert (layer.in_channels, layer.out_channels) == (8, 16)
    assert (layer.kernel_size, layer.stride, layer.padding) == ((3, 3), (2, 2), (2, 2))
    assert (layer.dilation, layer.groups, layer.padding_mode) == ((2, 2), 2, "reflect")
    assert layer.bias is None
    assert (layer.weight.device.type, layer.weight.dtype) == ("meta", torch.float64)


@pytest.mark.parametrize(
    ("arguments", "in_split", "out_split"),
    [
        ({}, (4, 4), (5, 5)),
        ({"alpha_in": 0, "alpha_out": 1}, (8, 0), (0, 10)),
        ({"alpha_in": 0.25, "alpha_out": 0.125}, (6, 2), (9, 1)),
        ({"alpha_in": 0.2, "alpha_out": 0.75}, (7, 1), (3, 7)),  # 1.6 and 7.5, rounded down
        ({"in_channels": (3, 5), "out_channels": (10, 0)}, (3, 5), (10, 0)),
        ({"in_channels": [0, 8], "alpha_out": 0.05}, (0, 8), (10, 0)),
    ],
)
def test_splits(
    arguments: dict[str, Any], in_split: tuple[int, int], out_split: tuple[int, int]
) -> None:
    layer = OctConv2d(**{"in_channels": 8, "out_channels": 10, "kernel_size": 3, **arguments})
    assert (layer.in_split, layer.out_split) == (in_split, out_split)
    assert layer.weight.shape == (10, 8, 3, 3)
    assert layer.bias.shape == (10,)
    high, low = octave_maps(channels=in_split)
    result = layer((high, low), size=(7, 6))
    if out_split[1]:
        shapes = [None if part is None else part.shape for part in result]
        assert shapes == [
            (2, out_split[0], 7, 6) if out_split[0] else None,
            (2, out_split[1], 4, 3),
        ]
    else:
        assert isinstance(result, Tensor)
        assert result.shape == (2, 10, 7, 6)


def test_first_and_last_layer_take_and_give_tensors() -> None:
    network = nn.Sequential(
        OctConv2d(3, 8, 3, alpha_in=0),
        PerPart(nn.ReLU()),
        OctConv2d(8, 8, 3, stride=2),
        OctConv2d(8, 5, 3, alpha_out=0),
    )
    assert network(torch.randn(2, 3, 9, 11)).shape == (2, 5, 5, 6)


def test_repr() -> None:
    plain = "OctConv2d((4, 4), (4, 4), kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"
    assert repr(OctConv2d(8, 8, 3)) == plain
    first = repr(OctConv2d(3, 3, 3, alpha_in=0, alpha_out=0))
    assert first.startswith("OctConv2d((3, 0), (3, 0), kernel_size=(3, 3), stride")
    layer = OctConv2d(8, (8, 0), 3, 2, dilation=2, groups=2, bias=False, padding_mode="circular")
    assert repr(layer) == (
        "OctConv2d((4, 4), (8, 0), kernel_size=(3, 3), stride=(2, 2), padding=(2, 2), "
        "dilation=(2, 2), groups=2, bias=False, padding_mode=circular)"
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_initialisation_is_that_of_conv2d(groups: int) -> None:
    torch.manual_seed(1)
    conv = vanilla(groups=groups)
    torch.manual_seed(1)
    layer = OctConv2d(8, 8, 3, groups=groups)
    assert torch.equal(layer.weight, conv.weight)
    assert torch.equal(layer.bias, conv.bias)
    nn.init.zeros_(layer.weight)
    torch.manual_seed(1)
    layer.reset_parameters()
    assert torch.equal(layer.weight, conv.weight)


@pytest.mark.parametrize("assign", [False, True])
def test_state_dicts_cross(assign: bool) -> None:
    conv, layer = vanilla(), OctConv2d(8, 8, 3)
    layer.load_state_dict(conv.state_dict(), assign=assign)
    assert torch.equal(layer.weight, conv.weight)
    other = vanilla()
    other.load_state_dict(layer.state_dict(), assign=assign)
    assert torch.equal(other.bias, conv.bias)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_state_dict_of_another_split_is_refused() -> None:
    """The shapes are the same, and what they mean is not."""
    saved = nn.Sequential(OctConv2d(8, 8, 3), OctConv2d(8, 8, 3)).state_dict()
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    nn.Sequential(OctConv2d(8, 8, 3), OctConv2d((4, 4), 8, 3)).load_state_dict(saved)
    nn.Sequential(vanilla(), vanilla()).load_state_dict(saved)
    other = nn.Sequential(OctConv2d(8, 8, 3), OctConv2d(8, 8, 3, alpha_in=0.25))
    text = (
        r"1: the weight must be of \(high, low\) channels \(6, 2\) to \(4, 4\), got one of \(4, 4\)"
    )
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=text):
            other.load_state_dict(saved, strict=strict)
    other.load_state_dict(dict(saved))  # whose metadata are gone
    assert torch.equal(other[1].weight, saved["1.weight"])


@pytest.mark.parametrize(
    "splits",
    [
        None,
        5,
        "ab",
        (),
        (8, 8),
        ((4, 4),),
        ((4.0, 4.0), (4, 4)),
        ((12, -4), (4, 4)),
        ((3, 4), (4, 4)),
    ],
    ids=str,
)
def test_metadata_that_tell_no_split_are_passed_over(splits: Any) -> None:
    saved = OctConv2d(8, 8, 3).state_dict()
    saved._metadata[""]["octave_splits"] = splits
    layer = OctConv2d(8, 8, 3, alpha_in=0.25)
    layer.load_state_dict(saved)
    assert torch.equal(layer.weight, saved["weight"])


def test_a_split_matters_where_there_is_a_weight() -> None:
    saved = OctConv2d(8, 8, 3).state_dict()
    saved._metadata[""]["octave_splits"] = [[4, 4], [4, 4]]  # as JSON has them
    OctConv2d(8, 8, 3).load_state_dict(saved)
    other = OctConv2d(8, 8, 3, alpha_in=0, alpha_out=0)
    before = other.weight.detach().clone()
    with pytest.raises(RuntimeError, match=r"OctConv2d: the weight must be of .* \(8, 0\) to"):
        other.load_state_dict(saved)
    assert torch.equal(other.weight, before)
    del saved["weight"], saved["bias"]
    assert other.load_state_dict(saved, strict=False).missing_keys == ["weight", "bias"]
    other.state_dict(destination={})  # which has no metadata


def test_meta_device_to_a_real_one() -> None:
    conv = vanilla()
    loaded = OctConv2d(8, 8, 3, device="meta")
    loaded.load_state_dict(conv.state_dict(), assign=True)
    assert_same_maps(loaded(MAPS), OctConv2d.from_conv2d(conv)(MAPS))
    emptied = OctConv2d(8, 8, 3, device="meta").to_empty(device="cpu")
    torch.manual_seed(1)
    emptied.reset_parameters()
    torch.manual_seed(1)
    assert torch.equal(emptied.weight, OctConv2d(8, 8, 3).weight)


def test_meta_device_gives_shapes() -> None:
    layer = OctConv2d(8, 8, 3, stride=2, device="meta")
    result = layer(OctaveMaps(*(part.to("meta") for part in MAPS)))
    assert (result.high.shape, result.low.shape) == ((2, 4, 4, 3), (2, 4, 2, 2))
    assert result.high.is_meta


def test_files_and_copies() -> None:
    layer = OctConv2d(8, 8, 3, alpha_in=0.25, padding_mode="reflect")
    maps = octave_maps(channels=(6, 2))
    expected = layer(maps)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (
        torch.load(file, weights_only=False),
        pickle.loads(pickle.dumps(layer)),
        copy.deepcopy(layer),
    ):
        assert repr(other) == repr(layer)
        assert_same_maps(other(maps), expected)
    state = io.BytesIO()
    torch.save(layer.state_dict(), state)
    state.seek(0)
    fresh = OctConv2d(8, 8, 3, alpha_in=0.25, padding_mode="reflect")
    fresh.load_state_dict(torch.load(state, weights_only=True))
    assert_same_maps(fresh(maps), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtype_of_the_module(dtype: torch.dtype) -> None:
    layer = OctConv2d(8, 8, 3).to(dtype)
    result = layer(OctaveMaps(*(part.to(dtype) for part in MAPS)))
    assert result.high.dtype == result.low.dtype == dtype


def test_channels_last_weight_gives_the_same() -> None:
    layer = OctConv2d(8, 8, 3)
    expected = layer(MAPS)
    layer.to(memory_format=torch.channels_last)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    maps = OctaveMaps(*(part.to(memory_format=torch.channels_last) for part in MAPS))
    assert_same_maps(layer(maps), expected)


def test_parameters_to_a_vector_and_back() -> None:
    """Which a weight that is channels_last from birth would break."""
    layer = OctConv2d(8, 8, 3)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    nn.utils.vector_to_parameters(2 * vector, layer.parameters())
    assert torch.equal(nn.utils.parameters_to_vector(layer.parameters()), 2 * vector)


def test_dilating_a_pretrained_layer() -> None:
    """Segmentation networks set these attributes after construction."""
    layer = OctConv2d(8, 8, 3)
    layer.dilation, layer.padding = (2, 2), (2, 2)
    expected = oct_conv2d(MAPS, layer.weight, layer.bias, out_channels=(4, 4), dilation=2)
    assert_same_maps(layer(MAPS), expected)
    layer.padding = (1, 1)
    with pytest.raises(ValueError, match=r"padding must be 'same' .* = \(2, 2\).* got \(1, 1\)"):
        layer(MAPS)


@pytest.mark.parametrize(
    ("attribute", "value", "arguments"),
    [
        ("stride", (2, 2), {"stride": 2}),
        ("stride", 2, {"stride": 2}),
        ("padding_mode", "circular", {"padding_mode": "circular"}),
        ("padding", "same", {}),
        ("bias", None, {"bias": None}),
        ("out_split", (6, 2), {"out_channels": (6, 2)}),
    ],
)
def test_attributes_are_read_at_each_call(
    attribute: str, value: Any, arguments: dict[str, Any]
) -> None:
    layer = OctConv2d(8, 8, 3)
    setattr(layer, attribute, value)
    called = {"bias": layer.bias, "out_channels": (4, 4), **arguments}
    assert_same_maps(layer(MAPS), oct_conv2d(MAPS, layer.weight, **called))


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("stride", 4, "stride must be 1 or 2"),
        ("padding", (0, 0), "padding must be 'same'"),
        ("groups", 2, "got \\(8, 8, 3, 3\\)"),
        ("in_split", (8, 0), "the high part of the input must have 8 channels"),
        ("out_split", (8, 1), "weight must be \\(9, 8"),
        ("weight", nn.Parameter(torch.randn(8, 8, 5, 5)), "padding must be 'same'"),
    ],
)
def test_attributes_that_do_not_fit_are_refused(attribute: str, value: Any, text: str) -> None:
    layer = OctConv2d(8, 8, 3)
    setattr(layer, attribute, value)
    with pytest.raises(ValueError, match=text):
        layer(MAPS)


def test_initialisation_loops_find_the_layer() -> None:
    network = nn.Sequential(OctConv2d(8, 8, 3), PerPart(nn.ReLU()), OctConv2d(8, 8, 1))
    found = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for module in found:
        nn.init.constant_(module.weight, 1.0)
        nn.init.zeros_(module.bias)
    assert found == [network[0], network[2]]
    assert torch.equal(network[2](MAPS).low, network[2]((MAPS.high, MAPS.low)).low)


@pytest.mark.parametrize(
    "parametrization", [parametrizations.weight_norm, parametrizations.spectral_norm]
)
def test_parametrizations(parametrization: Any) -> None:
    layer = parametrization(OctConv2d(8, 8, 3)).eval()
    result = layer(MAPS)
    assert_same_maps(result, oct_conv2d(MAPS, layer.weight, layer.bias, out_channels=(4, 4)))
    (result.high.sum() + result.low.sum()).backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    parametrize.remove_parametrizations(layer, "weight")
    assert_same_maps(layer(MAPS), result)


def test_pruning() -> None:
    layer = OctConv2d(8, 8, 3)
    prune.l1_unstructured(layer, "weight", 0.5)
    pruned = layer(MAPS)
    pruned.high.sum().backward()
    assert layer.weight_orig.grad is not None
    assert not layer.weight_orig.grad[layer.weight_mask == 0].any()
    prune.remove(layer, "weight")
    assert (layer.weight == 0).sum() == layer.weight.numel() // 2
    assert_same_maps(layer(MAPS), pruned)


def test_hooks_see_pairs() -> None:
    layer = OctConv2d(8, 8, 3)
    seen: list[Any] = []
    layer.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    layer.register_forward_hook(lambda module, args, output: seen.append(output))
    layer.register_full_backward_hook(lambda module, dx, dy: seen.append((dx, dy)))
    maps = OctaveMaps(*(part.clone().requires_grad_() for part in MAPS))
    result = layer(maps)
    (result.high.sum() + 2 * result.low.sum()).backward()
    before, after, (dx, dy) = seen
    assert type(before) is type(after) is type(result) is OctaveMaps
    assert torch.equal(after.high, result.high)
    assert [g.shape for g in dy] == [result.high.shape, result.low.shape]
    assert all(maps_grad is not None for maps_grad in (maps.high.grad, maps.low.grad))
    assert len(dx) == 1  # PyTorch's own rule: an argument that is no tensor has no gradient there


def test_averaged_copies() -> None:
    layer = OctConv2d(8, 8, 3)
    average = torch.optim.swa_utils.AveragedModel(layer)
    average.update_parameters(layer)
    assert_same_maps(average(MAPS), layer(MAPS))


def test_batch_norm_folds_into_a_last_layer() -> None:
    layer, norm = OctConv2d(8, 8, 3, alpha_out=0).double().eval(), nn.BatchNorm2d(8).double().eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    fused = nn.utils.fuse_conv_bn_eval(layer, norm)
    maps = octave_maps(dtype=torch.float64)
    torch.testing.assert_close(fused(maps), norm(layer(maps)))


def test_size_is_needed_only_where_no_high_part_tells_it() -> None:
    layer = OctConv2d(8, 8, 3, alpha_in=1)
    low = torch.randn(2, 8, 4, 3)
    even = layer((None, low)).high
    assert even.shape == (2, 4, 8, 6)
    for height, width in itertools.product((7, 8), (5, 6)):
        result = layer((None, low), size=(height, width))
        assert torch.equal(result.high, even[:, :, :height, :width])


def test_padding_of_two_dilations() -> None:
    """Of each axis its own, in numbers too: fused layers and those of nn.Conv2d read them."""
    layer = OctConv2d(8, 8, (3, 5), padding=(1, 4), dilation=(1, 2))
    assert layer.padding == OctConv2d(8, 8, (3, 5), dilation=(1, 2)).padding == (1, 4)
    with pytest.raises(ValueError, match=r"padding must be 'same' .* = \(1, 4\)"):
        OctConv2d(8, 8, (3, 5), padding=(1, 2), dilation=(1, 2))
