"""The 1x1 weight gradient for Hopper in the emulation: exact, accurate, the same bits, counted."""

import math
from collections.abc import Callable

import pytest
import torch
from cases import Case, half
from emulated_weight_grad import (
    GradTiles,
    check_as_accurate_as_torch,
    check_exact,
    check_float32_results,
    check_schedules,
    integer_operands,
    moved,
    reference_gradients,
    run_hopper_grad,
    run_normal,
)
from emulation.emulator import Emulator
from emulators import ASAN, NO_COMPILER, PLAIN, TSAN, cases_in_modes

Get = Callable[[str], Emulator]
BF16, F16 = torch.bfloat16, torch.float16
KERNEL = "weight_grad_1x1_sm90"


def case_of(ins: tuple[int, int], outs: tuple[int, int], *size: int, batch: int = 1) -> Case:
    return Case(ins, outs, (1, 1), size=size, batch=batch)


def tiles(rows: int, splits: int = 1) -> GradTiles:
    """128 rows x 64 columns of each octave, or 64 x 128."""
    return GradTiles(str(rows), 4 * ((32, 1, splits),))


# Channels that fill tiles, end them early, or take several, of one octave only, too; such that one
# warpgroup has none; odd sizes; phases that no quad has; boxes of several images, which are one
# image where their height is even; splits that have no boxes; so many splits that one, two or
# eight warps add them up.
CASES = {
    "a tile": (case_of((64, 64), (128, 128), 16, 16), tiles(128)),
    "another tile": (case_of((128, 128), (64, 64), 16, 16), tiles(64)),
    "odd": (case_of((72, 104), (40, 88), 13, 17, batch=3), tiles(128, 2)),
    "odd, wide": (case_of((72, 136), (40, 88), 13, 18, batch=3), tiles(64, 3)),
    "high": (case_of((136, 8), (200, 24), 9, 14), tiles(128)),
    "low": (case_of((8, 136), (24, 200), 9, 14), tiles(64)),
    "narrow": (case_of((24, 32), (136, 8), 14, 14, batch=4), tiles(128, 12)),
    "few rows": (case_of((128, 120), (32, 24), 14, 13, batch=2), tiles(64, 2)),
    "images": (case_of((40, 24), (8, 72), 5, 7, batch=9), tiles(128, 3)),
    "stacked": (case_of((24, 72), (72, 8), 6, 5, batch=8), tiles(64, 2)),
    "pixels": (case_of((24, 8), (8, 40), 1, 1, batch=70), tiles(128, 2)),
    "a row": (case_of((8, 72), (72, 8), 1, 90), tiles(64, 3)),
    "a column": (case_of((72, 8), (8, 72), 90, 1), tiles(128, 40)),
}


@cases_in_modes(*CASES)
def test_exact_on_integers(emulator_in: Get, mode, name):
    case, of_case = CASES[name]
    splits = of_case.shapes[0][2] > 1
    check_exact(emulator_in(mode), KERNEL, case, of_case, splits=splits)


@cases_in_modes("a tile", "odd", "low", modes=(PLAIN,))
@pytest.mark.parametrize("channels_last", [False, True])
def test_float32_results(emulator_in: Get, mode, name, channels_last):
    check_float32_results(emulator_in(mode), KERNEL, *CASES[name], channels_last=channels_last)


@NO_COMPILER
@pytest.mark.parametrize("dtype", [BF16, F16], ids=str)
@pytest.mark.parametrize("name", ["another tile", "odd", "odd, wide"])
def test_as_accurate_as_torch(emulator_in: Get, name, dtype):
    check_as_accurate_as_torch(emulator_in("plain"), KERNEL, *CASES[name], dtype)


@NO_COMPILER
@pytest.mark.parametrize(
    ("dtype", "large", "factor"), [(F16, 30000.0, 2.0**-12), (BF16, 2.0**127, 2.0**-126)], ids=str
)
def test_nothing_overflows_between_input_and_result(emulator_in: Get, dtype, large, factor):
    """Four of them are beyond the type, or beyond float32; they are multiplied with small ones."""
    case = CASES["odd"][0]
    (x_high, x_low), (dy_high, dy_low) = integer_operands(case)
    for big_x in (True, False):
        x, dy = (x_high.sign(), x_low.sign()), (dy_high.sign(), dy_low.sign())
        if big_x:
            x = tuple(torch.full_like(part, large) for part in x)
            dy = tuple(factor / 256 * g for g in dy)
        else:
            x = tuple(factor / 256 * part for part in x)
            dy = tuple(torch.full_like(part, large) for part in dy)
        x, dy = moved(x, dtype), moved(dy, dtype)
        expected, _ = reference_gradients(case, x, dy)
        result = run_hopper_grad(
            emulator_in("plain"), KERNEL, *CASES["odd"], (x, dy), dtype, wide_output=True
        )
        assert torch.allclose(result.dweight.double(), expected, rtol=1e-5, atol=1e-5)


@cases_in_modes("odd", "odd, wide", "narrow", modes=(PLAIN, ASAN, TSAN))
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode, name):
    check_schedules(emulator_in(mode), KERNEL, *CASES[name])


@NO_COMPILER
@pytest.mark.parametrize("name", ["a tile", "another tile"])
def test_each_product_is_of_use_and_each_pixel_is_loaded_once(emulator_in: Get, name):
    """Where channels fill tiles, and images boxes; x meets each phase of dy, as the low x does."""
    case, _ = CASES[name]
    result = run_normal(emulator_in("plain"), KERNEL, *CASES[name])
    (ins, _), (outs, _) = case.in_channels, case.out_channels
    quads = case.batch * math.prod(half(case.size))
    assert result.counters["wgmma"] * 64 * 8 * 16 == quads * outs * 2 * ins * 5
    assert result.counters["box_bytes"] == 2 * quads * 5 * (ins + outs)
    # A fragment is 16 channels and quads. Warps of the low x take each of theirs four times.
    assert result.counters["ldmatrix"] * 16 * 16 == quads * ins * 2 * 4
    assert result.counters["sectors_read"] == 0
    # Only where helpers store their sums of dy, at the end: of each octave twice, by 12 quarters.
    assert result.counters["bank_conflicts"] == 2 * 2 * 12


@NO_COMPILER
def test_a_warpgroup_without_channels_multiplies_nothing(emulator_in: Get):
    case, _ = CASES["narrow"]
    result = run_normal(emulator_in("plain"), KERNEL, *CASES["narrow"])
    boxes = math.ceil(case.batch * math.prod(half(case.size)) / 32)
    rows = 2 * 128  # two tiles
    assert result.counters["wgmma"] * 64 * 8 * 16 >= boxes * 32 * 5 * 64 * rows
    assert result.counters["wgmma"] * 64 * 8 * 16 < 2 * boxes * 32 * 5 * 64 * rows
