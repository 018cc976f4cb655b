"""How launches of the Hopper kernel are cut into tiles, and which calls it refuses."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import Problem, plan_sm90, square

SIZES = range(1, 71)


def origins(kind: dict[str, Any], axis: int, count: int) -> list[int]:
    """Where tiles begin along an axis: 0 across, 1 down, 2 images."""
    return [index * kind["tile"][axis] for index in range(count)]


def check_axes(kind: dict[str, Any], quads: tuple[int, int], batch: int) -> None:
    """That the patches of all tiles meet each quad of each image once."""
    images = math.ceil(batch / kind["tile"][2])
    seen = np.zeros((batch + 8, quads[0] + 32, quads[1] + 32), int)
    for image in origins(kind, 2, images):
        for top in origins(kind, 1, kind["grid"][1]):
            for left in origins(kind, 0, kind["grid"][0]):
                for x, y, of in kind["patches"]:
                    rows = slice(top + y, top + y + 8)
                    seen[image + of, rows, left + x : left + x + 8] += 1
    assert (seen[:batch, : quads[0], : quads[1]] == 1).all()
    tiles = images * kind["grid"][0] * kind["grid"][1]
    assert kind["items"] == tiles * kind["columns"][1]


def check_windows(
    kind: dict[str, Any], box: list[int], quads: tuple[int, int], first: int, reach: int
) -> None:
    """That what a quad inside of the map reads lies in its tile's box, which begins at `first`."""
    for x, y, image in kind["patches"]:
        assert image < box[2]
        for axis, place, size in ((0, x, quads[1]), (1, y, quads[0])):
            # A patch's last quads may lie outside of the map, and their windows of the box.
            inside = min(8, min(size, kind["tile"][axis]) - place)
            assert inside < 1 or place + inside - 1 + reach - first < box[axis]


@pytest.mark.parametrize("height", SIZES)
def test_every_output_is_covered_once(height: int) -> None:
    for width in SIZES:
        problem = Problem(5, height, width, 64, 64, 64, 64)
        if min(height, width) < 2:
            with pytest.raises(RuntimeError, match="a single row or column"):
                plan_sm90(problem)
            continue
        plan, quads = plan_sm90(problem), problem.quads
        for kind in ("high", "low"):
            check_axes(plan[kind], quads, problem.batch)
            # At the quads' resolution: from one quad before each to one behind it.
            check_windows(plan[kind], plan[kind]["quads"], quads, first=-1, reach=1)
        # A plane of odd pixels begins one quad early, one of even ones ends one late.
        for parity in (0, 1):
            check_windows(
                plan["high"], plan["high"]["phases"], quads, first=-parity, reach=1 - parity
            )


@given(
    channels=st.tuples(*4 * [st.integers(1, 80).map(lambda n: 8 * n)]),
    size=st.tuples(st.integers(2, 300), st.integers(2, 300)),
    batch=st.integers(1, 300),
    dtype=st.sampled_from(["bfloat16", "float16"]),
)
def test_blocks_and_columns(channels, size, batch, dtype) -> None:
    plan = plan_sm90(Problem(batch, *size, *channels), dtype)
    items = plan["high"]["items"] + plan["low"]["items"]
    assert 2 <= plan["blocks"] == min(132, items)
    assert 1 <= plan["low_blocks"] < plan["blocks"]
    for kind, columns in zip(("high", "low"), channels[2:], strict=True):
        of_tile, tiles = plan[kind]["columns"]
        assert of_tile * (tiles - 1) < columns <= of_tile * tiles
        if plan[kind]["weights_stay"]:  # in a ring of six slots, three for each input
            assert tiles == 1
            assert max(channels[:2]) <= 64
            assert of_tile <= (64 if kind == "high" else 32)


@given(
    channels=st.tuples(*4 * [st.integers(1, 40).map(lambda n: 8 * n)]),
    absent=st.sampled_from([(0,), (1,), (2,), (3,), (0, 3), (1, 2)]),
    size=st.tuples(st.integers(2, 300), st.integers(2, 300)),
    batch=st.integers(1, 300),
    input_grad=st.booleans(),
)
def test_parts_may_be_absent(channels, absent, size, batch, input_grad) -> None:
    """Octaves that do not come out have no tiles and no blocks; less to do takes less time."""
    present = tuple(0 if i in absent else c for i, c in enumerate(channels))
    plan, whole = (
        plan_sm90(Problem(batch, *size, *of, input_grad=input_grad)) for of in (present, channels)
    )
    high, low = present[:2] if input_grad else present[2:]
    assert (plan["high"]["items"] == 0) == (high == 0)
    assert (plan["low"]["items"] == 0) == (low == 0)
    assert 1 <= plan["blocks"] == min(132, plan["high"]["items"] + plan["low"]["items"])
    blocks = {"high": plan["blocks"] - plan["low_blocks"], "low": plan["low_blocks"]}
    for kind, of_kind in blocks.items():
        assert (of_kind > 0) == (plan[kind]["items"] > 0)
        if plan[kind]["items"] and plan[kind]["weights_stay"]:
            ins = present[2:] if input_grad else present[:2]
            assert sum(math.ceil(c / 64) for c in ins) <= 2
    assert plan["us"] <= whole["us"]


# Layers of 3x3 taps; the best measured on an H100 at some shares of blocks
# (forward-sm90-blocks.txt); their input gradients as measured on an H200 (gradients.json).
LAYERS = (
    (square(56, 32, 256), 104.5, 126.9),
    (square(28, 64, 256), 58.0, 60.2),
    (square(14, 128, 256), 62.2, 69.7),
    (square(64, 160, 8), 49.2, 50.1),
    (square(256, 32, 8), 56.5, 69.7),
    (square(32, 320, 8), 53.0, 53.8),
    (square(112, 64, 32), 110.7, 117.2),
    (square(28, 256, 32), 102.8, 111.6),
)


@pytest.mark.parametrize(("problem", "us", "of_gradient"), LAYERS, ids=str)
def test_predictions_are_near_what_was_measured(problem, us, of_gradient) -> None:
    assert 0.92 * us <= plan_sm90(problem)["us"] <= 1.08 * us
    gradient = plan_sm90(problem._replace(input_grad=True))["us"]
    assert 0.85 * of_gradient <= gradient <= 1.15 * of_gradient


@pytest.mark.parametrize(
    ("problem", "us"),
    [
        (square(56, 32, 1), 10.9),
        (square(28, 64, 8), 14.9),
        (square(14, 128, 32), 26.8),
        (square(64, 160, 1), 28.0),
        (square(32, 320, 1), 45.4),
        (square(112, 64, 1), 14.0),
        (square(28, 256, 1), 37.2),
        (square(7, 256, 8), 45.4),
    ],
    ids=str,
)
def test_predictions_of_small_batches(problem, us) -> None:
    """On an H100: families.txt."""
    assert 0.9 * us <= plan_sm90(problem)["us"] <= 1.1 * us


@pytest.mark.parametrize(
    ("problem", "columns", "shares"),
    [
        (square(56, 32, 256), 32, range(56, 61)),
        (square(256, 32, 8), 32, range(56, 61)),
        (square(14, 128, 256), 128, range(32, 44)),
        (square(28, 256, 32), 128, [32]),
        (square(64, 160, 8), 160, range(32, 36)),
        (square(32, 320, 8), 64, [40]),
    ],
    ids=str,
)
def test_shares_and_columns_are_those_measured_best(problem, columns, shares) -> None:
    """Or within 2 % of them; the next ones cost 5 % and more (forward-sm90-blocks.txt)."""
    plan = plan_sm90(problem)
    assert plan["low"]["columns"][0] == columns
    assert plan["low_blocks"] in shares


def test_an_input_gradient_is_the_convolution_of_dy_to_dx() -> None:
    problem = Problem(8, 29, 30, 64, 128, 192, 40)
    turned = Problem(8, 29, 30, 192, 40, 64, 128)
    plans = [plan_sm90(p) for p in (turned._replace(input_grad=True), problem, turned)]
    for plan in plans:
        del plan["us"]  # transposed weights come in wider blocks
    assert plans[0] == plans[1] != plans[2]


def test_text() -> None:
    text = plan_sm90(Problem(256, 56, 56, 32, 32, 128, 128, 1))["text"]
    assert text == (
        "forward_1x1_sm90, 4x16 quads x 2 * 64 columns, 14 boxes, 2 slots that stay, 132 blocks"
    )
    text = plan_sm90(square(112, 64, 32))["text"]
    assert text == (
        "forward_sm90, 16x8 quads x 64, low 16x16 x 64, 132 blocks, 57 of them for low tiles"
    )
    text = plan_sm90(square(112, 64, 32)._replace(low_out=0))["text"]
    assert text == "forward_sm90, 16x8 quads x 64, 132 blocks"
    assert (
        "16x8 quads of 2 images x 64, low 16x16 of 4 images" in plan_sm90(square(14, 64, 8))["text"]
    )


@given(
    channels=st.tuples(*4 * [st.integers(1, 130).map(lambda n: 8 * n)]),
    size=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    batch=st.integers(1, 300),
    input_grad=st.booleans(),
    absent=st.sampled_from([None, 1, 3]),  # a low part
)
def test_items_of_1x1_kernels(channels, size, batch, input_grad, absent) -> None:
    channels = tuple(0 if i == absent else c for i, c in enumerate(channels))
    problem = Problem(batch, *size, *channels, 1, 1, input_grad)
    plan = plan_sm90(problem)
    joint, (row_groups, column_groups) = plan["joint"], plan["joint"]["groups"]
    assert row_groups * column_groups == 2
    width, height, images = joint["box"]
    assert width * height * images <= 64
    # Rows of images are only put below each other where they come in pairs.
    image = joint["image"]
    assert image in ([size[1], size[0], batch], [size[1], size[0] * batch, 1])
    assert image[2] == batch or size[0] % 2 == 0
    across, down, columns = joint["grid"]
    assert (across, down) == (
        math.ceil(math.ceil(image[0] / 2) / width), math.ceil(math.ceil(image[1] / 2) / height)
    )  # fmt: skip
    boxes = across * down * math.ceil(image[2] / images)
    of_item = joint["columns"] * column_groups
    assert of_item * (columns - 1) < max(problem.columns) <= of_item * columns
    assert joint["items"] == math.ceil(boxes / row_groups) * columns
    assert 1 <= plan["blocks"] <= min(132, joint["items"])
    chunks = sum(math.ceil(n / 64) for n in (channels[2:] if input_grad else channels[:2]))
    if joint["weights_stay"]:  # then a block has the same columns in all its items
        assert plan["blocks"] % columns == 0
        assert joint["slots"] == chunks
    # A box is given back when the next one is there.
    assert joint["boxes"] >= 7
    assert joint["slots"] >= 1


@pytest.mark.parametrize(
    ("changes", "dtype", "device", "reason"),
    [
        ({"kernel": 5}, "bfloat16", "H100", "another kernel than 1x1 or 3x3"),
        ({"stride": 2}, "bfloat16", "H100", "another kernel than 1x1 or 3x3 at stride 1"),
        ({"kernel": 1, "high_in": 0}, "bfloat16", "H100", "an absent high part, and a kernel of 1"),
        ({"kernel": 1, "high_out": 0}, "float16", "H100", "an absent high part, and a kernel of 1"),
        ({"low_in": 0, "low_out": 0}, "bfloat16", "H100", "a convolution of one part alone"),
        ({"high_in": 0, "high_out": 0}, "bfloat16", "H100", "a convolution of one part alone"),
        ({"high_out": 12}, "bfloat16", "H100", "not a multiple of 8"),
        ({"batch": 0}, "bfloat16", "H100", "an empty batch"),
        ({"batch": 2**21, "height": 1000, "width": 2000}, "float16", "H100", "2\\^31 pixels"),
        ({"batch": 2**27, "height": 2, "width": 2, "low_in": 512}, "float16", "H100", "2\\^30 t"),
        ({"stride": 2, "input_grad": True}, "bfloat16", "H100", "another kernel than 1x1 or 3x3"),
        ({}, "tf32", "H100", "tf32"),
        ({}, "bfloat16", "A100", "another compute capability than 9.0"),
    ],
)
def test_what_is_refused(changes, dtype, device, reason) -> None:
    with pytest.raises(RuntimeError, match=f"plan_forward_sm90: .*{reason}|no kernel.*{reason}"):
        plan_sm90(square(28, 64, 8)._replace(**changes), dtype, device)
