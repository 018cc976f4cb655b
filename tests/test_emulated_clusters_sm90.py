"""The kernels for Hopper whose blocks share the channels of a tile, or a weight, in a cluster."""

import json
import math
from collections.abc import Callable

import pytest
import torch
from cases import Case, check_equal, multiples_of
from emulated_forward import (
    HopperJointTiles,
    HopperTiles,
    check_as_accurate_as_torch,
    check_forward,
    check_input_grad,
    check_schedules,
    present,
    run_forward,
)
from emulation.emulator import RUNS, Emulator
from emulators import ASAN, NO_COMPILER, PLAIN, PTX, TSAN
from epilogues import Extras

Get = Callable[[str], Emulator]
BF16 = torch.bfloat16


def case_of(
    ins: tuple[int, int], outs: tuple[int, int], *size: int, kernel: int = 3, batch: int = 1
) -> Case:
    return Case(ins, outs, (kernel, kernel), size=size, batch=batch, bias=sum(ins) % 16 == 0)


# Chunks that share out evenly and not, splits without a chunk, of one input alone or of both, tiles
# of both octaves beside each other; units of sums that are fewer than splits, and more.
SPLITS = {
    "even": (case_of((136, 136), (40, 72), 16, 16), HopperTiles(0, (64, 64), splits=2)),
    "uneven": (case_of((72, 328), (40, 24), 9, 35), HopperTiles(0, (32, 32), splits=4)),
    "idle": (case_of((104, 40), (24, 40), 17, 33), HopperTiles(0, (32, 32), splits=8)),
    "one chunk": (case_of((24, 40), (104, 40), 8, 8), HopperTiles(0, (64, 128), splits=2)),
    "no low input": (case_of((264, 0), (40, 168), 13, 17), HopperTiles(1, (64, 128), splits=4)),
    "no high input": (case_of((0, 200), (40, 24), 28, 27), HopperTiles(1, (64, 64), splits=2)),
    "no low output": (case_of((72, 264), (72, 0), 15, 2), HopperTiles(1, (64, 128), splits=8)),
    "no high output": (case_of((136, 72), (0, 136), 13, 11), HopperTiles(2, (64, 128), splits=2)),
    "images": (case_of((200, 200), (72, 72), 13, 11, batch=3), HopperTiles(2, (64, 128), splits=4)),
    "linear": (case_of((136, 72), (24, 8), 10, 55), HopperTiles(3, (32, 32), splits=4)),
    "registers": (case_of((136, 72), (24, 40), 10, 37), HopperTiles(4, (64, 64), splits=2)),
    "many": (case_of((328, 328), (8, 8), 2, 2), HopperTiles(2, (64, 32), splits=8)),
    "1x1": (
        case_of((136, 136), (40, 72), 9, 11, kernel=1),
        HopperJointTiles(32, boxes=5, slots=2, splits=2),
    ),
    "1x1, idle": (
        case_of((72, 40), (72, 40), 7, 12, kernel=1),
        HopperJointTiles(64, boxes=8, slots=2, splits=8),
    ),
    "1x1, uneven": (
        case_of((72, 264), (72, 136), 8, 9, kernel=1, batch=2),
        HopperJointTiles(64, groups=2, boxes=12, slots=2, splits=4),
    ),
    "1x1, no low input": (
        case_of((200, 0), (24, 72), 9, 11, kernel=1),
        HopperJointTiles(32, boxes=4, slots=3, splits=4),
    ),
    "1x1, small": (
        case_of((72, 136), (40, 72), 9, 11, kernel=1),
        HopperJointTiles(32, boxes=5, slots=2, splits=4, quads=9),
    ),
    "1x1, no low output": (
        case_of((136, 72), (104, 0), 12, 7, kernel=1),
        HopperJointTiles(64, groups=2, boxes=12, slots=2, splits=2),
    ),
}


def sharing(columns: int, groups: int, boxes: int, slots: int) -> HopperJointTiles:
    """Of one cluster for each range of columns."""
    return HopperJointTiles(columns, groups, boxes, slots, 1, sharers=2)


# A weight for two blocks: boxes for both in each item, or not in the last or only one; one item of
# a cluster and several; more chunks than slots and fewer; absent parts, where chunks have one copy.
SHARERS = {
    "shared": (
        case_of((136, 136), (40, 72), 13, 40, kernel=1, batch=3),
        sharing(32, 1, 5, 2),
    ),
    "shared, empty": (
        case_of((72, 264), (72, 136), 7, 12, kernel=1),
        sharing(64, 2, 12, 2),
    ),
    "shared, groups": (case_of((40, 104), (72, 136), 30, 24, kernel=1), sharing(64, 2, 12, 2)),
    "shared, images": (
        case_of((40, 72), (104, 24), 13, 11, kernel=1, batch=11),
        sharing(64, 1, 6, 1),
    ),
    "shared, small": (
        case_of((40, 104), (72, 136), 30, 24, kernel=1),
        sharing(64, 2, 12, 2)._replace(quads=36),
    ),
    "shared, no low input": (case_of((200, 0), (24, 72), 18, 66, kernel=1), sharing(32, 1, 3, 3)),
    "shared, no low output": (case_of((136, 72), (40, 0), 16, 80, kernel=1), sharing(64, 1, 7, 2)),
}
CASES = SPLITS | SHARERS
MODES = [
    pytest.param(*mode.values, name, dtype, marks=mode.marks, id=f"{name}-{mode.values[0]}")
    for i, (name, (_, tiles)) in enumerate(CASES.items())
    for mode, dtype in (
        (PLAIN, tiles.types[i % len(tiles.types)]),
        (PTX, tiles.types[i % len(tiles.types)]),
        *([(ASAN, BF16)] if i % 3 == 0 else []),
    )
]


@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize("name", [name for name, (_, t) in SHARERS.items() if t.quads == 64])
def test_sharers_have_items_and_boxes_as_they_say(name, input_grad):
    case, tiles = SHARERS[name]
    numbers = (case.batch, *case.size, *case.in_channels, *case.out_channels, 1, 1, int(input_grad))
    plan = torch.ops.octconv_cuda.plan_forward_sm90(numbers, "bfloat16", "H200")
    joint = json.loads(plan)["joint"]
    boxes = math.prod(joint["grid"][:2]) * math.ceil(joint["image"][2] / joint["box"][2])
    of_block = 3 - tiles.groups
    items = math.ceil(boxes / (2 * of_block))  # of each of the clusters
    if name == "shared, empty":
        assert (boxes, items) == (1, 1)
        return
    assert items > tiles.blocks
    assert name != "shared" or boxes % (2 * of_block) > of_block
    assert name != "shared, images" or boxes % (2 * of_block) <= of_block


@pytest.mark.parametrize(("mode", "name", "dtype"), MODES)
def test_forward_is_exact_on_integers(emulator_in: Get, mode, name, dtype):
    result = check_forward(emulator_in(mode), *CASES[name], dtype)
    if mode == "plain" and name in SPLITS:
        assert result.counters["cluster_bytes"] > 0


@pytest.mark.parametrize(("mode", "name", "dtype"), MODES)
def test_input_grad_is_exact_on_integers(emulator_in: Get, mode, name, dtype):
    check_input_grad(emulator_in(mode), *CASES[name], dtype)


@NO_COMPILER
@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize("name", ["even", "images", "1x1, uneven"])
def test_as_accurate_as_torch(emulator_in: Get, name, input_grad):
    check_as_accurate_as_torch(emulator_in("plain"), *SPLITS[name], BF16, input_grad=input_grad)


@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize(
    ("mode", "name"),
    [
        pytest.param(*mode.values, name, marks=mode.marks)
        for name, modes in (
            ("uneven", (PLAIN, ASAN, PTX, TSAN)),
            ("images", (PLAIN, ASAN, PTX)),
            ("1x1, uneven", (PLAIN, ASAN, PTX, TSAN)),
            ("shared, groups", (PLAIN, ASAN, PTX, TSAN)),
            ("shared, empty", (PLAIN, ASAN, PTX, TSAN)),
        )
        for mode in modes
    ],
)
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode, name, input_grad):
    check_schedules(emulator_in(mode), *CASES[name], input_grad)


@pytest.mark.parametrize("mode", [PLAIN, TSAN])
@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("1x1", None), ("1x1", 0), ("1x1, uneven", None), ("1x1, uneven", 1),
        ("shared", None), ("shared, empty", None), ("shared, groups", 1), ("shared, images", 0),
    ],
)  # fmt: skip
def test_inference_is_exact_in_every_schedule(emulator_in: Get, mode, name, absent):
    """Residuals of splits come to where the cluster's other blocks have read just before."""
    case, tiles = CASES[name]
    operands = case.integers().to(BF16)
    extras = Extras(case, True, multiples_of(1))
    extras.round_to(BF16)
    extras.drop(absent)
    expected = extras.exact(case.exact(operands), 1)
    for run in RUNS if mode == "plain" else RUNS[::3]:
        result = run_forward(
            emulator_in(mode), case, tiles, operands[:2], *operands[2:],
            extras=extras.arrays(1), run=run._replace(count=False),
        )  # fmt: skip
        check_equal(present(result), expected)


@NO_COMPILER
@pytest.mark.parametrize("splits", [1, 2, 4])
def test_splits_read_inputs_and_weight_once(emulator_in: Get, splits):
    """What clusters cost is the exchange alone: each unit of the sums, once from each block."""
    case = case_of((128, 128), (64, 64), 16, 16)
    tiles = HopperTiles(0, (64, 64), (2, 1), splits=splits)
    operands = case.normal().to(BF16)
    counters = [
        run_forward(emulator_in("plain"), case, of_tiles, operands[:2], operands.weight).counters
        for of_tiles in (tiles, tiles._replace(splits=1))
    ]
    for counter in ("box_bytes", "wgmma", "sectors_written"):
        assert counters[0][counter] == counters[1][counter], counter
    sums = 128 * 4 * 64 + 256 * 64  # of a high tile, and of a low one
    assert counters[0]["cluster_bytes"] == (4 * sums * splits if splits > 1 else 0)


@NO_COMPILER
def test_sharers_read_the_weight_once(emulator_in: Get):
    """As many bytes come to shared memory, of fewer that are read."""
    case, tiles = case_of((128, 128), (64, 64), 32, 64, kernel=1), sharing(64, 1, 7, 2)
    operands = case.normal().to(BF16)
    shared, alone = (
        run_forward(emulator_in("plain"), case, of_tiles, operands[:2], operands.weight).counters
        for of_tiles in (tiles, tiles._replace(blocks=2, sharers=1))
    )
    assert shared["box_bytes"] == alone["box_bytes"]
    assert shared["wgmma"] == alone["wgmma"]
    items, weight_sectors = 32 * 64 // 4 // 128, 2 * 256 * 128 // 32
    assert alone["box_sectors"] - shared["box_sectors"] == items // 2 * weight_sectors
