"""The layers that work on the parts of a map: PerPart, batch norm, split and merge."""

from typing import Any

import pytest
import torch
from networks import assert_same_maps, octave_maps, type_name
from torch import nn

from octconv_cuda import (
    OctaveBatchNorm2d,
    OctaveMaps,
    OctaveMerge,
    OctaveSplit,
    OctConv2d,
    PerPart,
    per_part,
    reference,
)

MAPS = octave_maps()
ONLY_HIGH, ONLY_LOW = OctaveMaps(MAPS.high, None), OctaveMaps(None, MAPS.low)


def test_per_part_applies_to_each() -> None:
    relu = PerPart(nn.ReLU())
    assert_same_maps(relu(MAPS), (MAPS.high.relu(), MAPS.low.relu()))
    assert_same_maps(relu(list(MAPS)), (MAPS.high.relu(), MAPS.low.relu()))
    assert_same_maps(relu(ONLY_LOW), (None, MAPS.low.relu()))
    assert torch.equal(relu(MAPS.high), MAPS.high.relu())
    both = PerPart(nn.Identity(), nn.Tanh())
    assert_same_maps(both(MAPS), (MAPS.high, MAPS.low.tanh()))


def test_per_part_shares_parameters_unless_given_two() -> None:
    shared, two = PerPart(nn.PReLU()), PerPart(nn.PReLU(), nn.PReLU())
    assert [name for name, _ in shared.named_parameters()] == ["high.weight"]
    assert [name for name, _ in two.named_parameters()] == ["high.weight", "low.weight"]


@pytest.mark.parametrize("module", [None, torch.relu, nn.ReLU], ids=["None", "function", "class"])
def test_per_part_refuses_what_is_no_module(module: Any) -> None:
    with pytest.raises(TypeError, match="PerPart: high must be a module"):
        PerPart(module)
    if module is not None:
        with pytest.raises(TypeError, match="PerPart: low must be a module"):
            PerPart(nn.ReLU(), module)


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(4), nn.Sequential(nn.Identity(), nn.BatchNorm2d(4))], ids=type_name
)
def test_per_part_does_not_mix_statistics(norm: nn.Module) -> None:
    with pytest.raises(ValueError, match=f"PerPart: each part .* got one {type_name(norm)} for b"):
        PerPart(norm)(MAPS)
    assert_same_maps(PerPart(norm.eval())(ONLY_LOW), (None, norm(MAPS.low)))
    assert torch.equal(PerPart(norm)(MAPS.high), norm(MAPS.high))
    with pytest.raises(ValueError, match="PerPart: each part"):
        PerPart(norm, norm)(MAPS)
    two = PerPart(nn.Identity())
    two.high, two.low = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    two(MAPS)
    PerPart(nn.BatchNorm2d(4, track_running_stats=False))(MAPS)


def test_a_function_of_parts() -> None:
    def cat(*maps: Any) -> Any:
        return per_part(lambda *parts: torch.cat(parts, 1), *maps)

    twice = cat(MAPS, (MAPS.high, MAPS.low))
    assert_same_maps(twice, [torch.cat([part, part], 1) for part in MAPS])
    assert_same_maps(cat(ONLY_LOW, ONLY_LOW), (None, torch.cat([MAPS.low, MAPS.low], 1)))
    assert_same_maps(cat(MAPS.high, ONLY_HIGH), (torch.cat([MAPS.high, MAPS.high], 1), None))
    assert torch.equal(cat(MAPS.high, MAPS.high), torch.cat([MAPS.high, MAPS.high], 1))
    assert_same_maps(per_part(torch.relu, MAPS), PerPart(nn.ReLU())(MAPS))


def test_a_function_of_parts_refuses_others() -> None:
    for maps in ((MAPS, MAPS.high), (MAPS.high, MAPS), (MAPS, ONLY_HIGH)):
        with pytest.raises(ValueError, match=r"per_part: all maps .* low parts .*absent"):
            per_part(torch.add, *maps)
    with pytest.raises(ValueError, match=r"per_part: all maps must .* got high parts \(.*absent"):
        per_part(torch.add, MAPS, ONLY_LOW)
    with pytest.raises(
        TypeError, match="per_part: function must give a tensor, got tuple for the h"
    ):
        per_part(lambda x: (x, x), MAPS)
    with pytest.raises(TypeError, match="per_part: there must be at least one map"):
        per_part(torch.add)
    with pytest.raises(TypeError, match=r"per_part: map 1 must be a tensor or a .* got float"):
        per_part(torch.add, MAPS, 2.0)


@pytest.mark.parametrize("layer", [PerPart(nn.ReLU()), OctaveMerge()], ids=["PerPart", "Merge"])
@pytest.mark.parametrize("bad", [None, 3, "ab", (*MAPS, MAPS.low), (MAPS.high,)], ids=type_name)
def test_layers_of_maps_refuse_what_is_none(layer: nn.Module, bad: Any) -> None:
    text = f"{type_name(layer)}: input must be a tensor or a .* got {type_name(bad)}"
    with pytest.raises(TypeError, match=text):
        layer(bad)


@pytest.mark.parametrize("size", range(1, 14))
@pytest.mark.parametrize(
    "pool",
    [nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, ceil_mode=True), nn.AdaptiveAvgPool2d(1)],
    ids=["3x3", "ceil", "global"],
)
def test_pooling_that_rounds_up_keeps_the_ratio(pool: nn.Module, size: int) -> None:
    pooled = PerPart(pool)(octave_maps(size=(size, size + 1)))
    assert OctConv2d(8, 8, 1)(pooled).high.shape == pooled.high.shape


@pytest.mark.parametrize("size", [3, 4, 5, 6, 7, 8, 9, 10])
def test_pooling_that_rounds_down_is_right_or_refused_by_the_next_layer(size: int) -> None:
    """6 pixels over 3 pool to 3 over 1, where 3 over 2 is a pair; and so at every 4 n + 2."""
    pooled = PerPart(nn.MaxPool2d(2))(octave_maps(size=(size, 8)))
    layer = OctConv2d(8, 8, 1)
    if size % 4 == 2:
        with pytest.raises(ValueError, match=r"x_low must be \(2, 4, .* to match x_high \(2, 4, "):
            layer(pooled)
    else:
        assert layer(pooled).low.shape == pooled.low.shape


def test_batch_norm_has_statistics_of_its_own_for_each_part() -> None:
    norm = OctaveBatchNorm2d(8, alpha=0.25)
    high, low = nn.BatchNorm2d(6), nn.BatchNorm2d(2)
    maps = octave_maps(channels=(6, 2)) * 3.0
    assert_same_maps(norm(maps), (high(maps.high), low(maps.low)))
    assert torch.equal(norm.high.running_var, high.running_var)
    assert torch.equal(norm.low.running_mean, low.running_mean)
    for module in (norm, high, low):
        module.eval()
    assert_same_maps(norm(maps), (high(maps.high), low(maps.low)))


def test_batch_norm_state_dict() -> None:
    own = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    names = [f"{part}.{name}" for part in ("high", "low") for name in own]
    assert list(OctaveBatchNorm2d(8).state_dict()) == names
    assert list(OctaveBatchNorm2d(8, alpha=0).state_dict()) == names[:5]
    assert list(OctaveBatchNorm2d(8, alpha=1).state_dict()) == names[5:]
    source = OctaveBatchNorm2d((3, 5))
    source(octave_maps(channels=(3, 5)))
    copied = OctaveBatchNorm2d((3, 5))
    copied.load_state_dict(source.state_dict())
    assert torch.equal(copied.low.running_var, source.low.running_var)


def test_batch_norm_takes_nn_batch_norms_arguments() -> None:
    norm = OctaveBatchNorm2d(4, 1e-3, 0.2, False, False, "meta", torch.float64)
    assert (norm.low.eps, norm.low.momentum, norm.low.affine) == (1e-3, 0.2, False)
    assert norm.high.running_mean is None
    assert OctaveBatchNorm2d(4, device="meta", dtype=torch.half).high.weight.dtype == torch.half


def test_batch_norm_of_one_part() -> None:
    assert OctaveBatchNorm2d(4, alpha=0)(MAPS.high).shape == MAPS.high.shape
    assert_same_maps(OctaveBatchNorm2d(4, alpha=1)(ONLY_LOW), (None, nn.BatchNorm2d(4)(MAPS.low)))


def test_batch_norm_converts_to_synchronised() -> None:
    norm = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(OctaveBatchNorm2d(8)))
    assert isinstance(norm[0].high, nn.SyncBatchNorm)
    assert isinstance(norm[0].low, nn.SyncBatchNorm)


def test_batch_norm_refuses_what_is_not_its_split() -> None:
    with pytest.raises(ValueError, match=r"OctaveBatchNorm2d: input must be a \(high, low\)"):
        OctaveBatchNorm2d(8)(MAPS.high)
    with pytest.raises(TypeError, match=r"OctaveBatchNorm2d: the high part .* must be a tensor"):
        OctaveBatchNorm2d(8)((MAPS.high.numpy(), None))
    with pytest.raises(ValueError, match=r"OctaveBatchNorm2d: the low part .* 0 .* \(2, 4, 4, 3\)"):
        OctaveBatchNorm2d(4, alpha=0)(MAPS)
    with pytest.raises(ValueError, match=r"OctaveBatchNorm2d: the high part .* 3 .* got \(2, 4, "):
        OctaveBatchNorm2d((3, 4))(MAPS)
    with pytest.raises(ValueError, match=r"OctaveBatchNorm2d: num_features: .* got 2"):
        OctaveBatchNorm2d(8, alpha=2)


@pytest.mark.parametrize(
    ("part", "error", "text"),
    [
        (torch.randn(7, 7), ValueError, r"\(N, C, H, W\), got \(7, 7\)"),
        (torch.randn(4, 4, 3), ValueError, r"\(N, C, H, W\), got \(4, 4, 3\)"),
        ("low", TypeError, "a tensor or None, got str"),
        (3, TypeError, "a tensor or None, got int"),
        (torch.ones(2, 4, 4, 3, dtype=torch.int32), TypeError, "float32, .*got torch.int32"),
        (torch.ones(2, 4, 4, 3).to_sparse(), TypeError, "dense tensor, got torch.sparse_coo"),
    ],
    ids=["2-d", "3-d", "str", "number", "int32", "sparse"],
)
def test_batch_norm_refuses_parts_that_are_no_maps(part: Any, error: Any, text: str) -> None:
    for split, side, maps in (
        ((4, 4), "low", (MAPS.high, part)),
        ((4, 4), "high", (part, MAPS.low)),
        ((4, 0), "low", (MAPS.high, part)),
    ):
        with pytest.raises(
            error, match=f"OctaveBatchNorm2d: the {side} part of the input must be .*{text}"
        ):
            OctaveBatchNorm2d(split)(maps)


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 1)])
@pytest.mark.parametrize("split", [(5, 3), (8, 0), (0, 8)])
def test_split_and_merge(size: tuple[int, int], split: tuple[int, int]) -> None:
    x = torch.randint(-8, 9, (2, 8, *size)).float()  # its means, and theirs, are exact
    maps = OctaveSplit(split)(x)
    assert_same_maps(
        maps,
        (
            x[:, : split[0]] if split[0] else None,
            reference.pool(x[:, split[0] :]) if split[1] else None,
        ),
    )
    merged = OctaveMerge()(maps)
    if split[0]:
        assert merged.shape == x.shape
        assert torch.equal(merged[:, : split[0]], x[:, : split[0]])
    again = OctaveSplit(split)(merged)  # what was pooled once is constant in each window
    assert_same_maps(again, maps)


def test_merge_passes_a_tensor_through() -> None:
    assert OctaveMerge()(MAPS.high) is MAPS.high
    assert OctaveMerge()(ONLY_HIGH) is MAPS.high


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_what_works_in_place_behind_a_split(memory_format: torch.memory_format) -> None:
    """It changes neither the image nor what the pool is differentiated by."""
    image = torch.randn(1, 8, 4, 4).contiguous(memory_format=memory_format)
    before = image.clone()
    in_place = PerPart(nn.ReLU(inplace=True))(OctaveSplit(8)(image.requires_grad_()))
    (in_place.high.sum() + in_place.low.sum()).backward()
    assert torch.equal(image, before)
    assert in_place.high.is_contiguous(memory_format=memory_format)


def test_split_takes_a_share_or_a_pair() -> None:
    assert OctaveSplit(8).channels == (4, 4)
    assert OctaveSplit(10, alpha=0.25).channels == (8, 2)
    assert repr(OctaveSplit((3, 5))) == "OctaveSplit(channels=(3, 5))"


X = torch.randn(2, 8, 7, 5)


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [
        (X[:, :7], ValueError, r"\(N, 8, H, W\), got \(2, 7, 7, 5\)"),
        (X[0], ValueError, r"\(N, C, H, W\), got \(8, 7, 5\)"),
        (X[:, :, :0], ValueError, r"positive .* got \(0, 5\)"),
        (X.int(), TypeError, "float32.* got torch.int32"),
        (X.numpy(), TypeError, "got ndarray"),
        (MAPS, TypeError, "got OctaveMaps"),
        (None, TypeError, "got NoneType"),
    ],
    ids=["channels", "3-d", "no pixels", "int", "array", "pair", "None"],
)
def test_split_refuses(bad: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"OctaveSplit: .*{text}"):
        OctaveSplit(8)(bad)


@pytest.mark.parametrize(
    ("channels", "error"), [(0, ValueError), ((-1, 2), ValueError), ("8", TypeError)], ids=str
)
def test_split_refuses_channels(channels: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="OctaveSplit: channels"):
        OctaveSplit(channels)


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [
        ((None, None), ValueError, "high and low must be given, got neither"),
        ((MAPS.high, MAPS.high), ValueError, r"low must be \(2, 4, 4, 3\) .* \(2, 4, 7, 6\)"),
        ((MAPS.high, MAPS.low.double()), TypeError, "low must have the dtype of high"),
        ((MAPS.high, MAPS.low.to("meta")), ValueError, "low must be on the device of high"),
        ((None, MAPS.low[0]), ValueError, r"low must be \(N, C, H, W\), got \(4, 4, 3\)"),
        ((None, MAPS.low.numpy()), TypeError, "low must be a tensor or None, got ndarray"),
    ],
)
def test_merge_refuses(bad: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"OctaveMerge: .*{text}"):
        OctaveMerge()(bad)
