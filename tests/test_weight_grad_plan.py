"""How launches of the fused weight gradient are cut into tiles and splits."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import Case
from emulated_weight_grad import (
    GradTiles,
    integer_operands,
    reference_gradients,
    run_weight_grad,
)
from emulation.emulator import Emulator
from emulators import NO_COMPILER
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_equal_values
from plans import DEVICES, TYPES, Problem, problem_of

from benchmarks.layer_list import LAYERS
from octconv_cuda.build import build_info
from octconv_cuda.ops import native_kernels

PARTIAL_BYTES = 148480  # of a multiprocessor, at most


@pytest.fixture(scope="module")
def emulator(emulator_in: Callable[[str], Emulator]) -> Emulator:
    return emulator_in("plain")


def plan_of(problem: Problem, dtype: str = "bfloat16", device: str = "H200") -> dict[str, Any]:
    numbers = list(map(int, problem))
    return json.loads(torch.ops.octconv_cuda.plan_weight_grad(numbers, dtype, device))


def launch_of(emulator: Emulator, problem: Problem, dtype: str, tiles: GradTiles) -> dict[str, Any]:
    numbers = tuple(map(int, problem))[:-1]
    return emulator("weight_grad_launch", TYPES[dtype], tiles.name, numbers, tiles.shapes)


def tiles_of(plan: dict[str, Any]) -> GradTiles:
    return GradTiles(plan["tiles"], tuple(map(tuple, plan["shapes"])))


def check(emulator: Emulator, problem: Problem, dtype: str, device: str) -> None:
    """That a plan keeps all limits, and splits no further than there are pixel tiles."""
    plan = plan_of(problem, dtype, device)
    launch = launch_of(emulator, problem, dtype, tiles_of(plan))
    assert launch["shared_bytes"] == plan["shared_bytes"] <= plan["device"]["shared_per_block"]
    assert launch["partial_sums"] == plan["partial_sums"]
    multiprocessors = plan["device"]["multiprocessors"]
    assert 4 * plan["partial_sums"] <= PARTIAL_BYTES * multiprocessors
    for (items, pixel_tiles, splits), planned in zip(launch["jobs"], plan["items"], strict=True):
        assert items == planned
        assert items == 0 or 1 <= splits <= pixel_tiles
    # No warp idles beside one that adds up few splits, and none has many while others could help.
    most, warps = max(splits for _, _, splits in launch["jobs"]), launch["split_warps"]
    assert warps in (1, 2, 4, 8)
    assert warps == 1 or most > 4 * warps
    assert warps == 8 or most <= 8 * warps
    present = [
        bool(rows and columns)
        for rows, columns in itertools.product(
            (problem.high_out, problem.low_out), (problem.high_in, problem.low_in)
        )
    ]
    # The bias of the high rows may need a job without columns.
    assert [items > 0 for items in plan["items"]][1:] == present[1:]
    assert plan["us"]["total"] >= plan["us"]["memory"] > 0
    assert (plan["partial_sums"] > 0) == (plan["us"]["splits"] > 0)


@NO_COMPILER
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_plans_of_layers_are_valid(emulator, layer):
    for alpha, batch, device in itertools.product((0, 0.25, 0.5, 1), layer.batches, DEVICES):
        check(emulator, problem_of(layer, alpha, batch), "bfloat16", device)
    check(emulator, problem_of(layer, 0.5, layer.headline_batch), "tf32", "A100")


CHANNELS = st.tuples(*2 * [st.integers(0, 12).map(lambda n: 8 * n)]).filter(any)


@NO_COMPILER
@given(
    sizes=st.tuples(st.integers(1, 300), st.integers(1, 80), st.integers(1, 80)),
    inputs=CHANNELS,
    outputs=CHANNELS,
    kernel=st.sampled_from((1, 3, 5, 7)),
    stride=st.sampled_from((1, 2)),
    dtype=st.sampled_from(tuple(TYPES)),
    device=st.sampled_from(DEVICES),
)
def test_plans_of_any_problem_are_valid(
    emulator, sizes, inputs, outputs, kernel, stride, dtype, device
):
    check(emulator, Problem(*sizes, *inputs, *outputs, kernel, stride), dtype, device)


@NO_COMPILER
@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize(
    "extent", [(1, 1, 1), (100_000, 1, 1), (1, 1, 9999), (1, 9999, 1), (1, 4096, 4096)], ids=str
)
def test_plans_of_extreme_images_are_valid(emulator, extent, kernel):
    for device in DEVICES:
        check(emulator, Problem(*extent, 64, 64, 64, 64, kernel), "bfloat16", device)


@NO_COMPILER
def test_as_many_pixels_as_32_bits_count(emulator):
    """Of more than that a tile of one pixel, with which the search begins, would seem to cost less
    than nothing."""
    most = Problem(2047, 1024, 1024, 8, 8, 8, 8)
    check(emulator, most, "bfloat16", "H200")
    with pytest.raises(RuntimeError, match="a map has 2\\^31 pixels or more"):
        plan_of(most._replace(batch=2048), "bfloat16", "H200")


PLANNED = {
    "3x3": (Case((32, 32), (32, 32), size=(28, 28)), "bfloat16", "H200"),
    "odd": (Case((40, 24), (72, 16), size=(23, 17), batch=3), "float16", "RTX 3090"),
    "wide": (Case((64, 64), (64, 64), size=(14, 14), batch=4), "bfloat16", "A100"),
    "1x1": (Case((72, 40), (64, 136), (1, 1), size=(14, 9)), "bfloat16", "A100"),
    "5x5": (Case((24, 16), (32, 16), (5, 5), size=(16, 16), batch=1), "float16", "H100"),
    "7x7": (Case((16, 16), (16, 16), (7, 7), size=(13, 9)), "bfloat16", "RTX 4090"),
    "stride 2": (Case((32, 16), (32, 24), stride=2, size=(20, 25)), "bfloat16", "H200"),
    "one pixel": (Case((16, 8), (8, 16), size=(1, 1), batch=9), "bfloat16", "H200"),
    "bias alone": (Case((0, 40), (32, 8), size=(12, 12)), "bfloat16", "A100"),
    "tf32": (Case((24, 24), (40, 16), size=(12, 14)), "tf32", "A100"),
}


@NO_COMPILER
@pytest.mark.parametrize("name", PLANNED)
def test_planned_launches_are_exact_and_do_what_the_model_counts(emulator, name):
    case, dtype, device = PLANNED[name]
    channels = (*case.in_channels, *case.out_channels)
    problem = Problem(case.batch, *case.size, *channels, case.kernel_size[0], case.stride)
    tiles = tiles_of(plan_of(problem, dtype, device))
    element = getattr(torch, TYPES[dtype])
    x, dy = integer_operands(case)
    expected = reference_gradients(case, x, dy)
    inputs = (tuple(None if t is None else t.to(element) for t in parts) for parts in (x, dy))
    result = run_weight_grad(emulator, case, tiles, *inputs, shared_limit=232448)
    for gradient, exact in zip(result[:2], expected, strict=True):
        assert_equal_values(gradient, exact)
    model = launch_of(emulator, problem, dtype, tiles)
    for counter in ("mma", "ldmatrix", "copies"):
        assert model[counter] == result.counters[counter], counter
    assert model["read_bytes"] <= 1.001 * 32 * result.counters["sectors_read"]


def test_jobs_take_about_equally_long_and_fill_the_device():
    for layer in LAYERS:
        plan = plan_of(problem_of(layer, 0.5, layer.headline_batch))
        assert sum(plan["items"]) >= 0.7 * plan["device"]["multiprocessors"], layer
        busiest = max(plan["us"][unit] for unit in ("mma", "shared", "l2"))
        assert plan["us"]["tiles"] < 3 * busiest, layer


def test_the_text_says_what_is_planned():
    text = plan_of(Problem(1, 56, 56, 64, 0, 64, 0))["text"]
    assert "tiles, W_HH " in text
    assert ", W_LH " not in text
    assert "predicted" in text
    with pytest.raises(RuntimeError, match="no kernel covers this: an empty batch"):
        plan_of(Problem(0, 56, 56, 32, 32, 32, 32))


def test_the_library_serves_the_operator_on_cuda():
    assert ("weight_grad" in native_kernels("cuda")) == (build_info().nvcc is not None)


def test_refusals_name_what_was_given():
    with pytest.raises(RuntimeError, match="V100"):
        plan_of(Problem(1, 8, 8, 8, 8, 8, 8), device="V100")
    with pytest.raises(RuntimeError, match="not a multiple of 8"):
        plan_of(Problem(1, 8, 8, 4, 8, 8, 8))
