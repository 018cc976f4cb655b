"""forward_1x1_sm90 where the blocks of a cluster share the copies of the weight."""

import json
import math
from collections.abc import Callable

import pytest
import torch
from cases import Case, check_equal, multiples_of
from emulated_forward import (
    HopperJointTiles,
    check_forward,
    check_input_grad,
    check_schedules,
    present,
    run_forward,
)
from emulation.emulator import RUNS, Emulator
from emulators import ASAN, NO_COMPILER, PLAIN, TSAN
from epilogues import Extras

Get = Callable[[str], Emulator]
BF16, F16 = torch.bfloat16, torch.float16


def case_of(ins: tuple[int, int], outs: tuple[int, int], *size: int, batch: int = 1) -> Case:
    return Case(ins, outs, (1, 1), size=size, batch=batch, bias=sum(ins) % 16 == 0)


def tiles_of(columns: int, groups: int, boxes: int, slots: int, clusters: int) -> HopperJointTiles:
    return HopperJointTiles(columns, groups, boxes, slots, clusters, sharers=2)


# Boxes for both blocks in each item, or not in the last or only one; one item of a cluster and
# several; chunks more than slots and fewer; absent parts, of which each chunk has one copy.
SHARERS = {
    "several items": (case_of((136, 136), (40, 72), 13, 40, batch=3), tiles_of(32, 1, 5, 2, 1)),
    "a block without boxes": (case_of((72, 264), (72, 136), 7, 12), tiles_of(64, 2, 12, 2, 1)),
    "groups": (case_of((40, 104), (72, 136), 30, 24), tiles_of(64, 2, 12, 2, 1)),
    "images": (case_of((40, 72), (104, 24), 13, 11, batch=11), tiles_of(64, 1, 6, 1, 1)),
    "no low input": (case_of((200, 0), (24, 72), 18, 66), tiles_of(32, 1, 3, 3, 1)),
    "no low output": (case_of((136, 72), (40, 0), 16, 80), tiles_of(64, 1, 7, 2, 1)),
}
MODES = [
    pytest.param(*mode.values, name, dtype, marks=mode.marks, id=f"{name}-{mode.values[0]}")
    for i, name in enumerate(SHARERS)
    for mode, dtype in ((PLAIN, (BF16, F16)[i % 2]), *([(ASAN, BF16)] if i % 3 == 0 else []))
]


@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize("name", SHARERS)
def test_cases_have_items_and_boxes_as_they_say(name, input_grad):
    case, tiles = SHARERS[name]
    numbers = (case.batch, *case.size, *case.in_channels, *case.out_channels, 1, 1, int(input_grad))
    plan = torch.ops.octconv_cuda.plan_forward_sm90(numbers, "bfloat16", "H200", False)
    joint = json.loads(plan)["joint"]
    boxes = math.prod(joint["grid"][:2]) * math.ceil(joint["image"][2] / joint["box"][2])
    of_block = 3 - tiles.groups
    items = math.ceil(boxes / (2 * of_block))  # of each of the clusters
    if name == "a block without boxes":
        assert (boxes, items) == (1, 1)
        return
    assert items > tiles.blocks
    assert name != "several items" or boxes % (2 * of_block) > of_block
    assert name != "images" or boxes % (2 * of_block) <= of_block


@pytest.mark.parametrize(("mode", "name", "dtype"), MODES)
def test_forward_is_exact_on_integers(emulator_in: Get, mode, name, dtype):
    check_forward(emulator_in(mode), *SHARERS[name], dtype)


@pytest.mark.parametrize(("mode", "name", "dtype"), MODES)
def test_input_grad_is_exact_on_integers(emulator_in: Get, mode, name, dtype):
    check_input_grad(emulator_in(mode), *SHARERS[name], dtype)


@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize("mode", [PLAIN, ASAN, TSAN])
@pytest.mark.parametrize("name", ["groups", "a block without boxes"])
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode, name, input_grad):
    check_schedules(emulator_in(mode), *SHARERS[name], input_grad)


@NO_COMPILER
@pytest.mark.parametrize(
    ("name", "absent"),
    [("several items", None), ("a block without boxes", None), ("groups", 1), ("images", 0)],
)
def test_inference_is_exact_in_every_schedule(emulator_in: Get, name, absent):
    case, tiles = SHARERS[name]
    operands = case.integers().to(BF16)
    extras = Extras(case, True, multiples_of(1))
    extras.round_to(BF16)
    extras.drop(absent)
    expected = extras.exact(case.exact(operands), 1)
    for run in RUNS:
        result = run_forward(
            emulator_in("plain"), case, tiles, operands[:2], *operands[2:],
            extras=extras.arrays(1), run=run._replace(count=False),
        )  # fmt: skip
        check_equal(present(result), expected)


@NO_COMPILER
def test_the_weight_is_read_once_for_both(emulator_in: Get):
    """As many bytes come to shared memory, of fewer that are read."""
    case, tiles = case_of((128, 128), (64, 64), 32, 64), tiles_of(64, 1, 7, 2, 1)
    operands = case.normal().to(BF16)
    shared, alone = (
        run_forward(emulator_in("plain"), case, of_tiles, operands[:2], operands.weight).counters
        for of_tiles in (tiles, tiles._replace(blocks=2, sharers=1))
    )
    assert shared["box_bytes"] == alone["box_bytes"]
    assert shared["wgmma"] == alone["wgmma"]
    items, weight_sectors = 32 * 64 // 4 // 128, 2 * 256 * 128 // 32
    assert alone["box_sectors"] - shared["box_sectors"] == items // 2 * weight_sectors
