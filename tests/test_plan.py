"""How launches of the fused forward kernel are cut into tiles."""

import itertools
import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import pytest
from emulated_forward import JointTiles
from emulation.emulator import Emulator
from emulators import NO_COMPILER
from hypothesis import assume, given
from hypothesis import strategies as st
from plans import DEVICES, TYPES, Problem, launch_of, plan_of, problem_of, tiles_of

from benchmarks.layer_list import LAYERS, Layer

MIB = 1 << 20


@pytest.fixture(scope="module")
def emulator(emulator_in: Callable[[str], Emulator]) -> Emulator:
    return emulator_in("plain")


def check(emulator: Emulator, problem: Problem, dtype: str, device: str) -> None:
    """That a plan keeps all limits and covers each quad and column once."""
    plan = plan_of(problem, dtype, device)
    us = plan["us"]
    assert us["total"] == pytest.approx(us["launch"] + max(us["tiles"], us["memory"]), rel=1e-4)
    assert us["tiles"] * 1.0001 >= max(us["mma"], us["shared"], us["l2"])
    if plan["kernel"] == JointTiles.kernel:
        check_joint(emulator, problem, dtype, plan)
        return
    assert plan["joint"]["items"] == 0
    shapes = {kind: tuple(plan[kind]["shape"]) for kind in ("high", "low")}
    launch = launch_of(emulator, problem, dtype, tiles_of(plan))
    assert launch["shared_bytes"] == plan["shared_bytes"] <= plan["device"]["shared_per_block"]
    blocks_bytes = plan["blocks_per_multiprocessor"] * (plan["shared_bytes"] + 1024)
    assert blocks_bytes <= plan["device"]["shared_per_multiprocessor"]
    rows, across = problem.batch * problem.quads[0], problem.quads[1]
    for kind, columns in zip(("high", "low"), problem.columns, strict=True):
        part, (width, height, splits) = launch[kind], shapes[kind]
        assert 1 <= width * height <= part["most_quads"]
        assert part["splits"] == splits <= max(1, part["chunks"])
        assert part["across"] == math.ceil(across / width)
        assert part["down"] == math.ceil(rows / height)
        assert part["columns"] == math.ceil(columns / part["most_columns"])
        assert all(rows <= launch["most_halo_rows"] for rows in part["halo_rows"])
        tiles = part["across"] * part["down"] * part["columns"]
        assert plan[kind]["items"] == tiles * splits
    items = plan["high"]["items"] + plan["low"]["items"]
    places = plan["device"]["multiprocessors"] * plan["blocks_per_multiprocessor"]
    assert plan["blocks"] == min(items, places)
    assert 0 <= plan["rotation"] <= plan["blocks"]
    split = shapes["high"][2] > 1 or shapes["low"][2] > 1
    assert plan["partial_sums"] == (items * launch["sums"] if split else 0)
    assert plan["arrivals"] == (sum(plan[k]["items"] // shapes[k][2] for k in shapes) * split)
    assert plan["partial_sums"] * 4 <= 64 * MIB


def check_joint(emulator: Emulator, problem: Problem, dtype: str, plan: dict[str, Any]) -> None:
    """The same of a plan of the kernel for 1x1, which has no splits and thus no workspace."""
    assert (problem.kernel, problem.stride) == (1, 1)
    tiles = tiles_of(plan)
    launch = launch_of(emulator, problem, dtype, tiles)
    assert launch["shared_bytes"] <= plan["device"]["shared_per_block"]
    assert 16 <= tiles.quads <= launch["most_quads"]
    assert tiles.quads % 16 == 0
    assert 2 <= tiles.stages <= 4
    quads = problem.batch * math.prod(problem.quads)
    assert launch["columns"] == math.ceil(max(problem.columns) / launch["most_columns"])
    items = math.ceil(quads / tiles.quads) * launch["columns"]
    assert plan["joint"]["items"] == launch["items"] == items
    assert plan["high"]["items"] == plan["low"]["items"] == 0
    assert plan["blocks"] == min(items, plan["device"]["multiprocessors"])
    assert plan["partial_sums"] == plan["arrivals"] == 0


@NO_COMPILER
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_plans_of_the_layers_are_valid(emulator, layer):
    alphas = (0, 0.125, 0.25, 0.5, 0.75, 1)
    for alpha, batch, device in itertools.product(alphas, layer.batches, DEVICES):
        for input_grad in (False, True):
            check(emulator, problem_of(layer, alpha, batch, input_grad), "bfloat16", device)
    check(emulator, problem_of(layer, 0.5, layer.headline_batch), "float16", "H100")
    check(emulator, problem_of(layer, 0.5, layer.headline_batch), "tf32", "A100")


@NO_COMPILER
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_hardly_a_row_of_the_products_goes_to_waste(emulator, layer):
    problem = problem_of(layer, 0.5, layer.headline_batch)
    plan = plan_of(problem)
    tiles = tiles_of(plan)
    if isinstance(tiles, JointTiles):
        spatial = (
            plan["joint"]["items"] // launch_of(emulator, problem, "bfloat16", tiles)["columns"]
        )
        assert spatial * tiles.quads < 1.2 * problem.batch * math.prod(problem.quads)
        return
    for part in itemgetter("high", "low")(launch_of(emulator, problem, "bfloat16", tiles)):
        computed = part["across"] * part["down"] * part["most_quads"]
        assert computed < 1.25 * problem.batch * math.prod(problem.quads)


CHANNELS = st.integers(0, 12).map(lambda n: 8 * n)


@NO_COMPILER
@given(
    problem=st.builds(
        Problem,
        batch=st.integers(1, 300),
        height=st.integers(1, 80),
        width=st.integers(1, 80),
        high_in=CHANNELS,
        low_in=CHANNELS,
        high_out=CHANNELS,
        low_out=CHANNELS,
        kernel=st.sampled_from((1, 3, 5, 7)),
        stride=st.sampled_from((1, 2)),
        input_grad=st.booleans(),
    ),
    dtype=st.sampled_from(tuple(TYPES)),
    device=st.sampled_from(DEVICES),
)
def test_plans_of_any_problem_are_valid(emulator, problem, dtype, device):
    assume(problem.high_in + problem.low_in and problem.high_out + problem.low_out)
    check(emulator, problem, dtype, device)


@NO_COMPILER
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize(
    "extent",
    [(1, 1, 1), (100_000, 1, 1), (1, 1, 9999), (1, 9999, 1), (1, 4096, 4096), (3, 2, 2)],
    ids=str,
)
def test_plans_of_extreme_images_are_valid(emulator, extent, kernel):
    for stride, input_grad in itertools.product((1, 2), (False, True)):
        problem = Problem(*extent, 64, 64, 64, 64, kernel, stride, input_grad)
        for device in DEVICES:
            check(emulator, problem, "bfloat16", device)


def test_plans_are_deterministic():
    problems = [problem_of(layer, 0.5, batch) for layer in LAYERS for batch in layer.batches]
    first = [plan_of(problem) for problem in problems]
    assert [plan_of(problem) for problem in reversed(problems)] == first[::-1]


@NO_COMPILER
def test_a_cache_gives_the_plans_of_what_is_asked(emulator):
    """Also where entries drive each other out: there are more problems than entries."""
    problems = [Problem(batch, 8, 8, 8, 8, 8, 8) for batch in range(1, 401)]
    problems += [p._replace(input_grad=True) for p in problems[:20]]
    asked = [tuple(map(int, p)) for p in problems * 2]
    texts = emulator("remembered_plans", "bfloat16", "H200", asked)
    assert texts[: len(problems)] == texts[len(problems) :]
    assert texts[: len(problems)] == [plan_of(p)["text"] for p in problems]


@NO_COMPILER
@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ((9, 0, 114, 232448), "H100"),  # PCIe
        ((10, 0, 148, 232448), "H100"),
        ((12, 0, 170, 101376), "RTX 4090"),
        ((8, 6, 28, 101376), "RTX 3090"),
        ((8, 7, 16, 166912), "A100"),
    ],
)
def test_other_devices_are_planned_for_like_the_nearest_one(emulator, facts, name):
    assert emulator("facts_of_device", *facts, "8.0;9.0a;8.0+PTX")[0] == name


@NO_COMPILER
@pytest.mark.parametrize(
    ("archs", "passes"),
    [
        ("8.0;9.0a;8.0+PTX", True),
        ("9.0a+PTX", True),
        ("9.0", False),
        ("8.0+PTX", False),
        ("9.0;9.0a", False),  # either code may run
        ("", False),
    ],
)
def test_registers_are_passed_only_by_code_that_can(emulator, archs, passes):
    assert emulator("facts_of_device", 9, 0, 132, 232448, archs)[:2] == ("H100", passes)
    assert emulator("facts_of_device", 10, 0, 148, 232448, archs)[1] is False
    wide = Problem(64, 28, 28, *4 * (512,))
    tiles = emulator("tiles_on_h100", "bfloat16", archs, tuple(wide))
    assert (tiles == "wide") == passes


@NO_COMPILER
@pytest.mark.parametrize(
    ("archs", "runs"),
    [
        ("8.0;9.0a;8.0+PTX", [(8, 0), (8, 6), (8, 9), (9, 0), (9, 1), (10, 0), (12, 1)]),
        ("8.0;9.0a", [(8, 0), (8, 6), (8, 9), (9, 0)]),
        ("9.0a", [(9, 0)]),
        ("8.6", [(8, 6), (8, 9)]),
        ("9.0+PTX", [(9, 0), (9, 1), (10, 0), (12, 1)]),
        ("10.0;8.9+PTX", [(8, 9), (9, 0), (9, 1), (10, 0), (12, 1)]),
        ("", []),
    ],
)
def test_kernels_serve_the_cards_that_they_have_code_for(emulator, archs, runs):
    """Machine code runs on its major version from its minor one on, PTX on every later card."""
    for capability in [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (9, 1), (10, 0), (12, 1)]:
        _, _, has_code = emulator("facts_of_device", *capability, 132, 232448, archs)
        assert has_code == (capability in runs), capability


def test_tiles_follow_the_columns():
    """Half of a wide tile's columns would go to waste on the 32 of each part."""
    narrow = plan_of(problem_of(LAYERS[0], 0.5, LAYERS[0].headline_batch))
    assert narrow["tiles"] == "small"
    assert narrow["us"]["mma"] < 1.4 * plan_flop_us(LAYERS[0], LAYERS[0].headline_batch)
    assert plan_of(Problem(64, 28, 28, *4 * (512,)))["tiles"] == "wide"


def plan_flop_us(layer: Layer, batch: int) -> float:
    """Microseconds at the rate of mma.sync that device_facts.cpp assumes of an H200."""
    products = 0.4375 * batch * math.prod(layer.size) * layer.in_channels * layer.out_channels
    return products * layer.kernel_size**2 / (0.66 * 2048 * 132 * 1840)


def test_small_launches_are_split_only_where_that_is_faster():
    layer = LAYERS[9]  # 640 channels on 32 x 32
    small, large = (plan_of(problem_of(layer, 0.5, batch)) for batch in (2, 256))
    assert max(small["high"]["shape"][2], small["low"]["shape"][2]) > 1
    assert small["us"]["launch"] == 2 * large["us"]["launch"]  # one clears the counters
    assert large["partial_sums"] == 0


def test_layers_of_one_tap_read_their_input_once():
    """At every batch: small ones get tiles of fewer quads."""
    for layer in LAYERS:
        plans = [plan_of(problem_of(layer, 0.5, batch)) for batch in (1, 32, 256)]
        kernel = "forward_1x1_sm80" if layer.kernel_size == 1 else "forward_sm80"
        assert {plan["kernel"] for plan in plans} == {kernel}
        assert all(plan["text"].startswith(f"{kernel}, {plan['tiles']} tiles") for plan in plans)
        if layer.kernel_size == 1:
            assert plans[0]["joint"]["shape"][0] < plans[2]["joint"]["shape"][0]
            assert "quads" in plans[0]["text"]


def test_small_launches_get_smaller_tiles():
    """Whole tiles would leave most multiprocessors idle."""
    small, large = (plan_of(problem_of(LAYERS[4], 0.5, batch)) for batch in (1, 256))
    for kind in ("high", "low"):
        quads = [math.prod(plan[kind]["shape"][:2]) for plan in (small, large)]
        assert quads[0] <= quads[1] / 2


def test_more_work_takes_longer():
    for layer in LAYERS:
        times = [plan_of(problem_of(layer, 0.5, batch))["us"]["total"] for batch in (1, 32, 1024)]
        assert times == sorted(times)
        assert times[-1] > 4 * times[0]


def test_the_text_says_what_is_planned():
    text = plan_of(Problem(1, 56, 56, 64, 0, 64, 0))["text"]
    assert "tiles, high " in text
    assert ", low " not in text
    assert "predicted" in text


@pytest.mark.parametrize(
    ("change", "dtype", "device", "message"),
    [
        ({"high_in": 4}, "bfloat16", "H200", "not a multiple of 8"),
        ({"batch": 0}, "bfloat16", "H200", "an empty batch"),
        ({"kernel": 9}, "bfloat16", "H200", "not 1x1, 3x3, 5x5 or 7x7"),
        ({"kernel": 4}, "bfloat16", "H200", "kernel 4"),
        ({"stride": 3}, "bfloat16", "H200", "stride 3"),
        ({"batch": -1}, "bfloat16", "H200", "got -1"),
        ({}, "float32", "H200", "must be bfloat16, float16 or tf32, got float32"),
        ({}, "bfloat16", "V100", f"{', '.join(DEVICES)}, got V100"),
    ],
)
def test_refusals_name_what_was_given(change, dtype, device, message):
    with pytest.raises(RuntimeError, match=message):
        plan_of(Problem(1, 8, 8, 8, 8, 8, 8)._replace(**change), dtype, device)
