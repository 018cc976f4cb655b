"""The fused kernel's own text in the emulation: exact, accurate, and the same in every schedule."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from cases import Case
from emulated_forward import (
    Tiles,
    check_as_accurate_as_torch,
    check_forward,
    check_input_grad,
    check_same_bits,
    run_forward,
)
from emulation.emulator import RUNS, Emulator, Run
from emulators import ASAN, NO_COMPILER, PLAIN, TSAN

Get = Callable[[str], Emulator]
BF16, F16, TF32 = torch.bfloat16, torch.float16, torch.float32
WIDE = Tiles("wide", (8, 9, 1), (5, 7, 1), weight_stages=3)
SMALL = Tiles("small", (5, 6, 2), (4, 7, 3))
SPLIT = Tiles("wide", (7, 9, 1), (9, 9, 2), weight_stages=4)
TWO = Tiles("wide", (16, 8, 1), (20, 10, 1), blocks=2, weight_stages=3)

# Every value of each factor, and of the tiles: as wide as the image or not, across images or not,
# split or not. Channels: whole chunks, tails, less than a step; columns beside tiles of 32 to 128.
CASES = (
    (Case((32, 32), (32, 32), size=(16, 16), batch=1), WIDE, BF16),
    (Case((40, 24), (48, 16), size=(7, 9), batch=3), WIDE, F16),
    (Case((40, 24), (48, 16), stride=2, size=(7, 9), batch=3), SMALL, BF16),
    (Case((72, 0), (64, 8), size=(11, 5)), SMALL, BF16),
    (Case((72, 0), (136, 8), stride=2, size=(11, 5)), WIDE, BF16),
    (Case((0, 40), (8, 72), size=(6, 6), bias=False), WIDE, BF16),
    (Case((0, 40), (8, 136), stride=2, size=(6, 7)), TWO, F16),
    (Case((8, 8), (8, 8), size=(1, 1), batch=5), SMALL, BF16),
    (Case((8, 8), (8, 8), stride=2, size=(1, 1), batch=5), WIDE, BF16),
    (Case((32, 32), (32, 32), size=(33, 21), batch=2), TWO, BF16),
    (Case((24, 40), (40, 0), stride=2, size=(21, 23), bias=False), TWO, F16),
    (Case((48, 16), (0, 40), size=(13, 13)), TWO, BF16),
    (Case((64, 32), (72, 40), size=(15, 14)), SPLIT, BF16),
    (Case((96, 32), (64, 64), size=(10, 12)), SPLIT, F16),
    (Case((40, 24), (16, 72), (1, 1), size=(9, 9)), SMALL, BF16),
    (Case((40, 24), (16, 72), (1, 1), stride=2, size=(9, 9)), SMALL, F16),
    (Case((136, 0), (0, 24), (1, 1), size=(5, 12), batch=3), SMALL, BF16),
    (Case((24, 24), (32, 32), (5, 5), size=(12, 11)), SMALL, BF16),
    (Case((24, 24), (32, 32), (5, 5), stride=2, size=(13, 10)), SMALL, F16),
    (Case((16, 40), (24, 24), (7, 7), size=(9, 14)), Tiles("small", (8, 7, 1), (7, 9, 1)), F16),
    (Case((16, 40), (24, 24), (7, 7), stride=2, size=(17, 14)), SMALL, BF16),
    (Case((32, 32), (32, 32), size=(9, 11)), WIDE, TF32),
    (Case((40, 24), (24, 40), stride=2, size=(10, 11)), SMALL, TF32),
    (Case((24, 24), (40, 40), (1, 1), size=(8, 7)), SMALL, TF32),
    (Case((16, 16), (24, 8), (5, 5), size=(7, 8), batch=1), SMALL, TF32),
)  # fmt: skip
IDS = [f"{case}-{tiles.name}-{dtype}".replace("torch.", "") for case, tiles, dtype in CASES]


def in_modes(plain: list[int], asan: list[int], tsan: list[int]) -> pytest.MarkDecorator:
    params = []
    for mode, indices in ((PLAIN, plain), (ASAN, asan), (TSAN, tsan)):
        for i in indices:
            case, tiles, dtype = CASES[i]
            if mode is not PLAIN and dtype == F16:
                dtype = BF16  # the same code but for two conversions, not compiled there
            values = (*mode.values, case, tiles, dtype)
            params.append(pytest.param(*values, id=f"{IDS[i]}-{mode.values[0]}", marks=mode.marks))
    return pytest.mark.parametrize(("mode", "case", "tiles", "dtype"), params)


EVERY = list(range(len(CASES)))


@in_modes(EVERY, EVERY[::2], [])
def test_forward_is_exact_on_integers(emulator_in: Get, mode, case, tiles, dtype):
    check_forward(emulator_in(mode), case, tiles, dtype)


@in_modes(EVERY, EVERY[1::2], [])
def test_input_grad_is_exact_on_integers(emulator_in: Get, mode, case, tiles, dtype):
    check_input_grad(emulator_in(mode), case, tiles, dtype)


@in_modes([1, 9, 12, 14, 21, 22], [], [])
def test_as_accurate_as_torch(emulator_in: Get, mode, case, tiles, dtype):
    check_as_accurate_as_torch(emulator_in(mode), case, tiles, dtype)


@in_modes([2, 6, 11, 22], [2, 6], [2, 7, 16])
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode, case, tiles, dtype):
    if mode == "tsan":  # a few blocks suffice for races
        case = dataclasses.replace(case, batch=min(case.batch, 2))
    operands = case.normal().to(dtype)
    runs = [Run(schedule, late, seed, blocks, False) for schedule, late, seed, blocks, _ in RUNS]
    results = [
        run_forward(emulator_in(mode), case, tiles, operands[:2], *operands[2:], run=run)
        for run in (runs[::3] if mode == "tsan" else runs)
    ]
    check_same_bits(results)


@in_modes([0], [], [])
@pytest.mark.parametrize("input_grad", [False, True])
def test_where_tiles_and_blocks_lie_changes_nothing(
    emulator_in: Get, mode, case, tiles, dtype, input_grad
):
    """Sums run in the same order in every tiling, so even their bits agree."""
    case = dataclasses.replace(case, size=(11, 13), batch=3)
    operands = case.normal().to(dtype)
    inputs = operands[:2] if not input_grad else tuple(
        g.to(dtype) for g in case.normal_gradients()
    )  # fmt: skip
    results = [
        run_forward(emulator_in(mode), case, other, inputs, operands.weight, input_grad=input_grad)
        for other in (
            tiles,
            Tiles("wide", (16, 8, 1), (1, 6, 1), blocks=1),
            Tiles("wide", (1, 18, 1), (7, 36, 1), blocks=7),
            Tiles("small", (7, 9, 1), (3, 12, 1), blocks=20),
            Tiles("wide", (15, 8, 1), (13, 1, 1), blocks=4),
        )
    ]
    for result in results[1:]:
        assert torch.equal(result.high, results[0].high)
        assert torch.equal(result.low, results[0].low)


@NO_COMPILER
def test_blocks_without_an_item_touch_nothing(emulator_in: Get):
    case = Case((32, 32), (32, 32), size=(11, 13), batch=3, bias=False)
    operands = case.normal().to(BF16)
    counted = [
        run_forward(
            emulator_in("plain"),
            case,
            Tiles("small", (7, 9, 1), (3, 12, 1), blocks),
            operands[:2],
            operands.weight,
        ).counters
        for blocks in (8, 20)  # there are eight items
    ]
    for counter in ("sectors_read", "copies", "mma"):
        assert counted[0][counter] == counted[1][counter] > 0
