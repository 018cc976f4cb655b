"""OctaveMaps as a value: its arithmetic, and what carries it."""

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils._pytree as pytree
from networks import assert_same_maps, octave_maps, type_name

from octconv_cuda import OctaveMaps

MAPS = octave_maps()
OTHER = octave_maps()
ONLY_HIGH, ONLY_LOW = OctaveMaps(MAPS.high, None), OctaveMaps(None, MAPS.low)


def test_addition_is_part_by_part() -> None:
    expected = (MAPS.high + OTHER.high, MAPS.low + OTHER.low)
    assert_same_maps(MAPS + OTHER, expected)
    assert_same_maps(MAPS + tuple(OTHER), expected)
    assert_same_maps(tuple(MAPS) + OTHER, expected)
    assert_same_maps(sum([OTHER], start=MAPS), expected)
    total = MAPS
    total += OTHER
    assert_same_maps(total, expected)
    assert_same_maps(ONLY_LOW + ONLY_LOW, (None, 2 * MAPS.low))


@pytest.mark.parametrize(
    "other",
    [
        *(1, None, "ab", MAPS.high, list(MAPS)),
        *((), (*MAPS, MAPS.low), (7, 6), (MAPS.high, 1.0), (MAPS.high.numpy(), MAPS.low.numpy())),
    ],
    ids=type_name,
)
def test_addition_refuses_what_is_no_pair(other: Any) -> None:
    with pytest.raises(TypeError, match=rf"\+ other: .*pair.* got {type_name(other)}"):
        MAPS + other
    if not isinstance(other, list):  # a list's own + answers first, also with a TypeError
        with pytest.raises(TypeError, match=r"\+ other: "):
            other + MAPS


def test_builtin_sum() -> None:
    """It starts from 0, which is a map nowhere else."""
    assert_same_maps(sum([MAPS, OTHER]), MAPS + OTHER)
    assert_same_maps(sum([ONLY_LOW]), ONLY_LOW)
    for call in (lambda: MAPS + 0, lambda: 1 + MAPS, lambda: False + MAPS):
        with pytest.raises(TypeError, match=r"pair of tensors, got (int|bool)"):
            call()


@pytest.mark.parametrize(
    ("left", "right", "text"),
    [
        (MAPS, ONLY_HIGH, r"the low part is \(2, 4, 4, 3\) on the left and absent on the right"),
        (ONLY_LOW, MAPS, r"the high part is absent on the left and \(2, 4, 7, 6\) on the right"),
        (ONLY_HIGH, ONLY_LOW, r"the high part is .* absent on the right"),
        (MAPS, (None, MAPS.low), r"the high part is .* absent on the right"),
    ],
)
def test_addition_refuses_other_parts(left: OctaveMaps, right: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        left + right


@pytest.mark.parametrize("number", [int, float, np.float32, np.float64, np.int64, torch.tensor])
def test_multiplication_scales_each_part(number: Any) -> None:
    factor = number(3)
    expected = (MAPS.high * 3, MAPS.low * 3)
    assert_same_maps(MAPS * factor, expected)
    assert_same_maps(factor * MAPS, expected)
    assert_same_maps(factor * ONLY_LOW, (None, expected[1]))


def test_numpy_number_times_maps_of_one_pixel() -> None:
    """Parts of one size are what numpy could take for one array."""
    maps = octave_maps(size=(1, 1))
    assert_same_maps(np.float32(2) * maps, (maps.high * 2, maps.low * 2))


def test_multiplication_by_a_gate_per_sample() -> None:
    gate = torch.randn(2, 1, 1, 1)
    assert_same_maps(MAPS * gate, (MAPS.high * gate, MAPS.low * gate))


@pytest.mark.parametrize("factor", [None, "2", (2, 3), [2], MAPS, 2j], ids=type_name)
def test_multiplication_refuses(factor: Any) -> None:
    with pytest.raises(TypeError, match=rf"factor must be a number, got {type_name(factor)}"):
        MAPS * factor
    with pytest.raises(TypeError, match="factor must be a number"):
        factor * MAPS


@pytest.mark.parametrize("maps", [MAPS, ONLY_HIGH, ONLY_LOW], ids=["pair", "high", "low"])
def test_pytree(maps: OctaveMaps) -> None:
    leaves, spec = pytree.tree_flatten(maps)
    assert_same_maps(pytree.tree_unflatten(leaves, spec), maps)
    assert pytree.treespec_loads(pytree.treespec_dumps(spec)) == spec
    doubled = pytree.tree_map_only(torch.Tensor, lambda part: 2 * part, maps)
    assert_same_maps(doubled, maps * 2)


@pytest.mark.parametrize("maps", [MAPS, ONLY_HIGH, ONLY_LOW], ids=["pair", "high", "low"])
def test_copies_and_files(maps: OctaveMaps) -> None:
    assert_same_maps(pickle.loads(pickle.dumps(maps)), maps)
    assert_same_maps(copy.copy(maps), maps)
    deep = copy.deepcopy(maps)
    assert_same_maps(deep, maps)
    assert all(part is None or part is not own for part, own in zip(deep, maps, strict=True))
    for weights_only in (True, False):
        file = io.BytesIO()
        torch.save({"maps": maps}, file)
        file.seek(0)
        assert_same_maps(torch.load(file, weights_only=weights_only)["maps"], maps)


def test_data_loader_stacks_the_parts() -> None:
    samples = [OctaveMaps(high, low) for high, low in zip(*MAPS, strict=True)]
    (batch,) = torch.utils.data.DataLoader(samples, batch_size=2)
    assert_same_maps(batch, MAPS)
