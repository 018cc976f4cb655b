"""What no GPU has run yet: plans with all of it, with a part alone, and who asks for which."""

import contextlib
import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from kernel_checks import PARTS_ON_TRIAL
from plans import Problem, plan_sm90, square

from benchmarks import layers, machine, networks, predicted

OPS = torch.ops.octconv_cuda
NAMES = OPS.trial_names().split(",")
# A problem that each part changes alone, and how its plan says so.
CHANGED = {
    "splits": (square(28, 256, 1), "clusters of 8"),
    "sharers": (Problem(256, 14, 14, 512, 512, 128, 128, 1), "2 to a weight"),
    "overlaps": (square(28, 64, 8), "overlapping"),
    "late": (square(14, 128, 256), "and then"),
    "linear": (square(56, 32, 256), "28x4 quads"),
    "narrow": (Problem(8, 33, 34, 72, 8, 72, 8), "x 64, low 16x16 x 32"),
    "registers": (square(112, 64, 32), "through registers, pooled ahead"),
    "small": (Problem(8, 56, 56, 128, 128, 32, 32, 1), "4x9 quads"),
}


@given(
    channels=st.tuples(*4 * [st.integers(0, 130).map(lambda n: 8 * n)]),
    size=st.tuples(st.integers(2, 80), st.integers(2, 80)),
    batch=st.integers(1, 40),
    kernel=st.sampled_from([1, 3]),
    input_grad=st.booleans(),
    dtype=st.sampled_from(["bfloat16", "float16"]),
)
def test_plans_on_trial(channels, size, batch, kernel, input_grad, dtype) -> None:
    """Each cluster has a tile of its own and finds room; it is expected to pay, or not done."""
    problem = Problem(batch, *size, *channels, kernel, input_grad=input_grad)
    try:
        whole = plan_sm90(problem, dtype)
    except RuntimeError:
        assume(False)
    plan = plan_sm90(problem, dtype, trials="1")
    joint = plan.get("joint")
    splits = (joint or plan)["splits"]
    shared = joint is not None and joint["sharers"] == 2
    registers = "through registers" in plan["text"]
    linear = not joint and plan["high"]["linear"]
    ahead = "pooled ahead" in plan["text"]
    narrow = not joint and plan["low"]["columns"][0] < plan["high"]["columns"][0]
    late = plan.get("late_items", 0)
    small = joint is not None and joint["box"] != whole["joint"]["box"]
    assert dtype == "bfloat16" or not (linear or narrow or registers or ahead)
    if splits == 1 and not (shared or linear or narrow or registers or ahead or late or small):
        assert plan == {**whole, "text": whole["text"] + ", overlapping"}
        return
    assert plan["us"] <= whole["us"]
    if not joint:
        check_shares(plan)
    if small:
        assert math.prod(joint["box"]) < math.prod(whole["joint"]["box"])
    if registers:
        assert (problem.high_out if problem.input_grad else problem.high_in) > 0
        assert plan["high"]["items"] > 0
    if linear:
        check_linear(plan["high"], problem)
    if shared:
        assert plan["blocks"] == 2 * min(66, joint["items"])
        assert joint["splits"] == 1
        assert not joint["weights_stay"]
    if splits == 1:
        return
    items = joint["items"] if joint else plan["high"]["items"] + plan["low"]["items"]
    assert splits in (2, 4, 8)
    assert plan["blocks"] == items * splits <= 132 * 7 // 8
    assert f"clusters of {splits}" in plan["text"]
    if joint:
        # What a block leaves for others to add up has room where its boxes and slots were.
        columns, groups = joint["columns"], joint["groups"]
        boxes, slots = 8192 * groups[0] * joint["boxes"], 256 * columns * groups[1] * joint["slots"]
        assert boxes + slots >= 2 * 64 * 5 * columns * 4
        assert not joint["weights_stay"]
    else:
        assert plan["low_blocks"] == plan["low"]["items"] * splits


def check_shares(plan: dict[str, Any]) -> None:
    """That each tile is a block's own, and that blocks with low tiles have the last high ones."""
    high, low = plan["high"]["items"], plan["low"]["items"]
    if plan["splits"] > 1:
        assert plan["late_items"] == 0
        return
    early, low_blocks, blocks = high - plan["late_items"], plan["low_blocks"], plan["blocks"]
    assert ("then" in plan["text"]) == (early < high)
    of_high, of_low = [], []
    for block in range(blocks):  # as Share has them
        before, behind = (of * low_blocks // blocks for of in (block, block + 1))
        if behind > before:
            of_low += range(before, low, low_blocks)
            of_high += range(early + low_blocks - 1 - before, high, low_blocks)
        else:
            of_high += range(block - before, early, blocks - low_blocks)
    assert sorted(of_high) == list(range(high))
    assert sorted(of_low) == list(range(low))


def check_linear(kind: dict[str, Any], problem: Problem) -> None:
    """That whole rows of quads, with a border each, are in the boxes and in 128 cells of them."""
    (width, height, images), (down, across) = kind["tile"], problem.quads
    assert across <= width
    assert images == kind["grid"][0] == 1
    assert kind["grid"][1] == math.ceil(down / height)
    assert kind["items"] == kind["grid"][1] * problem.batch * kind["columns"][1]
    assert kind["quads"] == [width + 2, height + 2, 1]
    assert kind["phases"] == [width + 2, height + 1, 1]
    assert (width + 2) * height <= 2 * 64


def test_few_tiles_are_split_and_many_are_not() -> None:
    assert plan_sm90(square(28, 256, 1), trials="splits")["splits"] == 8
    for problem in (square(28, 256, 32), square(64, 32, 256), square(56, 8, 1)):
        assert plan_sm90(problem, trials="1")["splits"] == 1


def test_blocks_share_a_weight_that_does_not_stay() -> None:
    """It is what the most of the copies bring where many channels become few."""
    reduce, expand = Problem(256, 14, 14, 512, 512, 128, 128, 1), square(56, 32, 256)
    plan, alone = (plan_sm90(reduce, trials=trials) for trials in ("sharers", ""))
    assert plan["text"] == alone["text"] + ", 2 to a weight"
    assert (plan["joint"]["items"], alone["joint"]["items"]) == (98, 196)
    assert plan["us"] < 0.9 * alone["us"]
    assert plan_sm90(expand._replace(kernel=1), trials="1")["joint"]["weights_stay"]


def test_small_boxes_serve_where_they_keep_more_blocks_busy() -> None:
    """Not where a box as large as it may be is cut off nowhere and all rounds are full."""
    reduce = Problem(8, 14, 14, 512, 512, 128, 128, 1)
    plan, whole = (plan_sm90(reduce, trials=trials) for trials in ("small", ""))
    assert (whole["blocks"], plan["blocks"]) == (16, 28)
    assert plan["us"] < 0.8 * whole["us"]
    even = Problem(132, 32, 32, 128, 128, 128, 128, 1)
    assert plan_sm90(even, trials="small") == plan_sm90(even)


def test_boxes_are_no_more_than_can_be_counted() -> None:
    """Of 2^27 quads each, as a box, would be an item for each of 16 ranges of columns or more."""
    many = Problem(1 << 21, 16, 16, 8, 8, 2048, 2048, 1)
    plan = plan_sm90(many, trials="small")
    assert plan == plan_sm90(many)
    assert plan["joint"]["items"] == 16 * (1 << 21)


def test_linear_tiles_serve_where_they_are_fewer() -> None:
    """Seven of 28x4 quads in place of eight of 16x8."""
    plan, whole = (plan_sm90(square(56, 32, 256), trials=trials) for trials in ("linear", ""))
    assert plan["text"].startswith("forward_sm90, 28x4 quads x 32, low 16x16 x 32, ")
    assert 8 * plan["high"]["items"] == 7 * whole["high"]["items"]
    for problem in (square(58, 32, 256), square(48, 32, 256), square(28, 32, 256)):
        assert not plan_sm90(problem, trials="1")["high"]["linear"]


def test_one_chunk_goes_through_registers() -> None:
    """Of more chunks only where tiles are linear."""
    for size, channels in ((256, 32), (112, 64), (28, 64)):
        problem = square(size, channels, 32)
        plan, whole = (plan_sm90(problem, trials=trials) for trials in ("registers", ""))
        assert ", through registers, pooled ahead" in plan["text"]
        assert (plan["high"], plan["low"]) == (whole["high"], whole["low"])
    for problem in (square(28, 72, 32), square(112, 128, 8), square(14, 64, 256)):
        assert "through" not in plan_sm90(problem, trials="1")["text"]


def test_blocks_take_high_tiles_behind_their_low_ones() -> None:
    """Where neither octave's tiles share out evenly: 64 low ones, as long as two others each."""
    plan, whole = (plan_sm90(square(14, 128, 256), trials=trials) for trials in ("late", ""))
    assert (plan["high"]["items"], plan["low"]["items"]) == (256, 64)
    assert (plan["low_blocks"], plan["late_items"]) == (64, 256 - 3 * (132 - 64))
    assert "64 of them for low tiles and then 52 high ones" in plan["text"]
    assert plan["us"] < 0.9 * whole["us"]


def test_each_part_is_tried_alone() -> None:
    assert list(CHANGED) == list(PARTS_ON_TRIAL) == NAMES
    for name, (problem, words) in CHANGED.items():
        others = ",".join(part for part in NAMES if part != name)
        assert words in plan_sm90(problem, trials=name)["text"]
        assert words in plan_sm90(problem, trials="1")["text"]
        assert words not in plan_sm90(problem, trials=others)["text"]
        assert plan_sm90(problem, trials="0") == plan_sm90(problem)
        its_own = {name, "registers"} if name == "linear" else {name}  # which have both
        for other in CHANGED.keys() - its_own:
            assert CHANGED[other][1] not in plan_sm90(problem, trials=name)["text"]


@given(
    problem=st.sampled_from([problem for problem, _ in CHANGED.values()]),
    parts=st.sets(st.sampled_from(NAMES), min_size=1),
)
def test_more_parts_are_expected_to_take_no_longer(problem: Problem, parts: set[str]) -> None:
    some = plan_sm90(problem, trials=",".join(sorted(parts)))
    assert plan_sm90(problem, trials=",".join(NAMES)) == plan_sm90(problem, trials="1")
    # What is expected to take less by less than a hundredth is not tried.
    assert 0.99 * plan_sm90(problem, trials="1")["us"] <= some["us"] <= plan_sm90(problem)["us"]


@pytest.mark.parametrize("text", ["2", "all", "splits,", ",splits", "splits late", " "])
def test_unknown_names_are_refused(text: str) -> None:
    expected = f"plan_forward_sm90: trials must be 1 or some of splits,.*,small, got {text}$"
    with pytest.raises(RuntimeError, match=expected):
        plan_sm90(square(28, 64, 8), trials=text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("0", ""), ("1", "1"), ("late,splits,late", "splits,late"), (",".join(NAMES), "1")],
)
def test_benchmarks_say_what_is_asked_for_in_one_way(text, expected, monkeypatch) -> None:
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", text)
    assert machine.asked_trials() == expected


@pytest.mark.parametrize("program", [layers, networks, predicted])
def test_benchmarks_refuse_unknown_names(program, monkeypatch, capsys) -> None:
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "late,early")
    with contextlib.suppress(SystemExit):
        assert program.main(["--batches", "1"]) == 2
    text = capsys.readouterr().err
    assert f"OCTCONV_CUDA_TRIAL must be 1 or some of {','.join(NAMES)}, got 'early'" in text
