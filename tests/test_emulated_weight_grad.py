"""The fused weight gradient's own text in the emulation: exact, accurate, the same in every run."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from cases import Case
from emulated_forward import check_same_bits
from emulated_weight_grad import (
    Gradients,
    GradTiles,
    integer_operands,
    reference_gradients,
    run_weight_grad,
    tiles,
)
from emulation.emulator import RUNS, Emulator, Run
from emulators import ASAN, PLAIN, TSAN
from oracle import assert_accurate, assert_equal_values
from torch import Tensor

from benchmarks.accuracy import rounded_to_tf32

Get = Callable[[str], Emulator]
BF16, F16, TF32 = torch.bfloat16, torch.float16, torch.float32


WIDE = tiles("wide", (8, 12, 1))
NARROW = tiles("narrow", (7, 9, 1), (5, 6, 1))
SPLIT = tiles("narrow", (6, 7, 3), (5, 7, 2), (4, 3, 2))
WIDE_SPLIT = tiles("wide", (9, 7, 2), (7, 5, 1), (3, 5, 3))


def joint(name: str, splits: int = 1) -> GradTiles:
    """Of the kernel that does all four blocks at once: (quads, stages, splits)."""
    return tiles(f"joint{name}", (32, 2, splits))


# Every value of each factor, and of the tiles: as wide as the image or not, across images or not,
# whole steps or not, split or not. Channels: whole tiles, tails, several tiles along both axes.
CASES = (
    (Case((32, 32), (32, 32), size=(16, 16), batch=1), tiles("narrow", (8, 16, 1)), BF16),
    (Case((64, 64), (64, 64), size=(16, 12)), WIDE, BF16),
    (Case((40, 24), (72, 8), size=(9, 11), batch=3), SPLIT, F16),
    (Case((40, 24), (72, 8), stride=2, size=(9, 11), batch=3), SPLIT, BF16),
    (Case((72, 0), (24, 40), size=(11, 5)), WIDE_SPLIT, BF16),
    (Case((72, 0), (24, 40), stride=2, size=(11, 7)), NARROW, F16),
    (Case((0, 40), (8, 72), size=(6, 7)), SPLIT, BF16),
    (Case((0, 40), (8, 72), stride=2, size=(6, 7)), NARROW, BF16),
    (Case((0, 40), (72, 0), size=(10, 9)), WIDE, F16),
    (Case((24, 16), (40, 0), size=(13, 9)), SPLIT, BF16),
    (Case((24, 72), (0, 40), size=(9, 14)), WIDE_SPLIT, F16),
    (Case((24, 72), (0, 40), stride=2, size=(9, 14)), NARROW, BF16),
    (Case((64, 0), (72, 0), size=(9, 9)), WIDE, BF16),
    (Case((8, 8), (8, 8), size=(1, 1), batch=5), tiles("narrow", (1, 4, 2)), BF16),
    (Case((8, 8), (8, 8), stride=2, size=(1, 1), batch=5), tiles("wide", (1, 5, 1)), F16),
    (Case((40, 136), (136, 24), size=(7, 7)), tiles("wide", (7, 14, 1)), BF16),
    (Case((40, 24), (72, 136), (1, 1), size=(9, 9)), tiles("wide", (9, 7, 2)), BF16),
    (Case((40, 24), (72, 16), (1, 1), stride=2, size=(9, 9)), SPLIT, F16),
    (Case((136, 0), (8, 24), (1, 1), size=(5, 12), batch=3), WIDE_SPLIT, BF16),
    (Case((64, 64), (128, 128), (1, 1), size=(16, 16), batch=1), joint("128x64"), BF16),
    (Case((40, 24), (72, 136), (1, 1), size=(9, 11), batch=3), joint("128x64", 2), BF16),
    (Case((40, 136), (72, 8), (1, 1), size=(9, 8), batch=3), joint("64x128"), F16),
    (Case((136, 24), (40, 8), (1, 1), size=(8, 11)), joint("32x128", 3), BF16),
    (Case((8, 40), (136, 24), (1, 1), size=(7, 10)), joint("128x32", 2), BF16),
    (Case((8, 8), (8, 8), (1, 1), size=(1, 1), batch=5), joint("128x32"), F16),
    (Case((24, 72), (40, 8), (5, 5), size=(12, 11)), NARROW, BF16),
    (Case((24, 24), (72, 8), (5, 5), stride=2, size=(13, 10)), SPLIT, F16),
    (Case((16, 40), (24, 72), (7, 7), size=(9, 10)), SPLIT, F16),
    (Case((16, 8), (24, 24), (7, 7), stride=2, size=(17, 14)), NARROW, BF16),
    (Case((32, 32), (32, 32), size=(9, 11)), NARROW, TF32),
    (Case((40, 24), (24, 40), stride=2, size=(10, 11)), SPLIT, TF32),
    (Case((24, 72), (72, 40), (1, 1), size=(8, 7)), SPLIT, TF32),
    (Case((16, 16), (24, 8), (5, 5), size=(7, 8)), SPLIT, TF32),
    (Case((8, 16), (8, 8), (7, 7), size=(6, 7), batch=1), NARROW, TF32),
)  # fmt: skip
IDS = [f"{case}-{shape.name}-{dtype}".replace("torch.", "") for case, shape, dtype in CASES]


def in_modes(plain: list[int], asan: list[int], tsan: list[int]) -> pytest.MarkDecorator:
    params = []
    for mode, indices in ((PLAIN, plain), (ASAN, asan), (TSAN, tsan)):
        for i in indices:
            case, shape, dtype = CASES[i]
            if mode is not PLAIN and dtype == F16:
                dtype = BF16  # the same code but for two conversions, not compiled there
            values = (*mode.values, case, shape, dtype)
            params.append(pytest.param(*values, id=f"{IDS[i]}-{mode.values[0]}", marks=mode.marks))
    return pytest.mark.parametrize(("mode", "case", "shape", "dtype"), params)


EVERY = list(range(len(CASES)))


def parts_to(dtype: torch.dtype, parts: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if part is None else part.to(dtype) for part in parts)


def normal_operands(case: Case, dtype: torch.dtype) -> tuple[tuple[Tensor | None, ...], ...]:
    return parts_to(dtype, case.normal()[:2]), parts_to(dtype, case.normal_gradients())


@in_modes(EVERY, EVERY, [])
def test_exact_on_integers(emulator_in: Get, mode, case, shape, dtype):
    x, dy = integer_operands(case)
    expected = reference_gradients(case, x, dy)
    result = run_weight_grad(
        emulator_in(mode), case, shape, parts_to(dtype, x), parts_to(dtype, dy),
        channels_last=case.batch == 2,
    )  # fmt: skip
    for gradient, exact in zip(result[:2], expected, strict=True):
        assert_equal_values(gradient, exact)
    split = any(jobs[2] > 1 for jobs in shape.shapes)
    assert result.counters["launches"] in ((1, 2) if split else (1,))
    assert (result.counters["workspace"] > 0) == (result.counters["launches"] == 2)


@in_modes([2, 15, 20, 29, 31], [2], [])
@pytest.mark.parametrize("channels_last", [False, True])
def test_float32_results(emulator_in: Get, mode, case, shape, dtype, channels_last):
    """Results that 16-bit types could not hold."""
    x, dy = integer_operands(case)
    dy = tuple(g + 32 * (g != 0) for g in dy)  # sums differ by much less than their size
    expected = reference_gradients(case, x, dy)
    result = run_weight_grad(
        emulator_in(mode), case, shape, parts_to(dtype, x), parts_to(dtype, dy),
        channels_last=channels_last, wide_output=True,
    )  # fmt: skip
    for gradient, exact in zip(result[:2], expected, strict=True):
        assert gradient.dtype == torch.float32
        assert_equal_values(gradient, exact)


@in_modes([1, 2, 3, 6, 16, 20, 21, 27, 29, 30], [], [])
def test_as_accurate_as_torch(emulator_in: Get, mode, case, shape, dtype):
    x, dy = normal_operands(case, dtype)
    result = run_weight_grad(emulator_in(mode), case, shape, x, dy)
    rounded = (x, dy)
    if dtype == TF32:  # without a GPU: float32 on operands rounded to the nearest tf32
        rounded = tuple(
            tuple(None if t is None else rounded_to_tf32(t) for t in parts) for parts in (x, dy)
        )
    of_weight, _ = reference_gradients(case, *rounded, dtype)
    _, of_bias = reference_gradients(case, x, dy, dtype)  # which PyTorch sums up in float32
    same, exact = (of_weight, of_bias), reference_gradients(case, x, dy)
    for gradient, of_torch, expected in zip(result[:2], same, exact, strict=True):
        assert_accurate(gradient, of_torch, expected)


@pytest.mark.parametrize("value", [0.1, 0.7, 3.3])
def test_tf32_sums_of_many_gradients_keep_their_digits(emulator_in: Get, value):
    """Of the same value, where each addition of one long chain would round off the same way."""
    case = Case((8, 0), (8, 0), (1, 1), size=(128, 128), batch=1)
    x, dy = (torch.full((1, 8, 128, 128), value) for _ in range(2))
    nothing = torch.zeros(1, 0, 64, 64)
    result = run_weight_grad(
        emulator_in("plain"), case, tiles("narrow", (8, 8, 1)), (x, None), (dy, nothing)
    )
    exact = dy.double().sum((0, 2, 3))
    assert ((result.dbias - exact) / exact).abs().max() < 3e-7  # five roundings


def test_tf32_sums_may_be_infinite(emulator_in: Get):
    case = Case((8, 0), (8, 0), (1, 1), size=(64, 64), batch=1)
    x, dy = torch.zeros(1, 8, 64, 64), torch.ones(1, 8, 64, 64)
    dy[0, 0, 3, 5] = torch.inf
    dy[0, 1, 3, 5], dy[0, 1, 60, 5] = torch.inf, -torch.inf
    dy[0, 2], dy[0, 3], dy[0, 4] = 1e38, 1e36, -1e36  # whose sums overflow, at once or later
    nothing = torch.zeros(1, 0, 32, 32)
    result = run_weight_grad(
        emulator_in("plain"), case, tiles("narrow", (8, 8, 1)), (x, None), (dy, nothing)
    )
    expected = torch.tensor([torch.inf, torch.nan, torch.inf, torch.inf, -torch.inf, *3 * [4096]])
    torch.testing.assert_close(result.dbias, expected, rtol=0, atol=0, equal_nan=True)


@in_modes([2, 4, 15, 16, 22, 30], [2, 4, 22], [2, 3, 4, 16, 22, 30])
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode, case, shape, dtype):
    if mode == "tsan":  # a few blocks suffice for races
        case = dataclasses.replace(case, batch=min(case.batch, 2))
    x, dy = normal_operands(case, dtype)
    runs = [Run(schedule, late, seed, blocks, False) for schedule, late, seed, blocks, _ in RUNS]
    results = [
        run_weight_grad(emulator_in(mode), case, shape, x, dy, run=run)
        for run in (runs[::3] if mode == "tsan" else runs)
    ]
    check_same_bits(results)


def test_padding_brings_no_foreign_nans(emulator_in: Get):
    """Not finite are only taps that meet an infinite x, not those that meet it beside the image."""
    case = Case((8, 0), (8, 0), size=(5, 5), batch=1)
    x = torch.zeros(1, 8, 5, 5)
    x[:, :, :, 4] = torch.inf  # the last column, which the first column of taps meets beside it
    dy = torch.ones(1, 8, 5, 5)
    result = run_weight_grad(
        emulator_in("plain"), case, tiles("narrow", (4, 5, 1)),
        (x.bfloat16(), None), (dy.bfloat16(), torch.zeros(1, 0, 3, 3, dtype=BF16)),
    )  # fmt: skip
    expected, _ = reference_gradients(case, (x, None), (dy, torch.zeros(1, 0, 3, 3)))
    assert torch.equal(result.dweight.isfinite(), expected.isfinite())


def per_mma(result: Gradients) -> float:
    return result.counters["ldmatrix_wavefronts"] / result.counters["mma"]


WHOLE = Case((64, 0), (64, 0), size=(16, 16), batch=1)


@pytest.mark.parametrize(
    ("case", "shape", "most"),
    [
        (WHOLE, tiles("wide", (16, 8, 1)), 4 * 17 / 72),
        (WHOLE, tiles("wide", (8, 8, 1)), 4 * 17 / 72),
        (WHOLE, tiles("narrow", (16, 8, 1)), 4 * 22 / 72),
        (dataclasses.replace(WHOLE, kernel_size=(1, 1)), tiles("narrow", (16, 8, 1)), 1.5),
        (
            dataclasses.replace(
                WHOLE, in_channels=(128, 0), out_channels=(128, 0), kernel_size=(1, 1)
            ),
            tiles("wide", (16, 4, 1)),
            1.0,
        ),
        # Copies are counted exactly where the halo's rows have as many cells as whole warps.
        (
            dataclasses.replace(WHOLE, kernel_size=(5, 5), size=(16, 12)),
            tiles("narrow", (12, 8, 1)),
            1.3,
        ),
        (
            dataclasses.replace(WHOLE, kernel_size=(7, 7), size=(16, 10)),
            tiles("narrow", (10, 16, 1)),
            60 / 56,
        ),
    ],
)  # fmt: skip
def test_wavefronts_and_useful_products(emulator_in: Get, case, shape, most):
    """Whole tiles: no conflicts, no mma of no use."""
    x, dy = normal_operands(case, BF16)
    result = run_weight_grad(emulator_in("plain"), case, shape, x, dy)
    assert result.counters["bank_conflicts"] == 0
    assert per_mma(result) <= most
    (high_in, _), (high_out, _), taps = case.in_channels, case.out_channels, case.kernel_size[0]
    pixels = case.size[0] * case.size[1]
    products = pixels * high_in * high_out * taps**2
    assert result.counters["mma"] * 16 * 8 * 16 == products


def test_tf32_loads_words_without_conflicts(emulator_in: Get):
    case = dataclasses.replace(WHOLE, in_channels=(32, 0), out_channels=(32, 0))
    x, dy = normal_operands(case, TF32)
    result = run_weight_grad(emulator_in("plain"), case, tiles("narrow", (16, 8, 1)), x, dy)
    assert result.counters["bank_conflicts"] == 0
    assert result.counters["mma"] * 16 * 8 * 8 == 16 * 16 * 32 * 9 * 32


@pytest.mark.parametrize("pooled", [False, True])
def test_reads_are_the_tiles_and_their_halos(emulator_in: Get, pooled):
    """Every pixel once for each tile of the weight; sectors of 32 bytes hold 16 channels."""
    case = Case((64, 0), (0, 64) if pooled else (64, 0), size=(32, 32), batch=1)
    x, dy = normal_operands(case, BF16)
    result = run_weight_grad(emulator_in("plain"), case, tiles("wide", (16, 8, 1)), x, dy)
    size = 16 if pooled else 32
    across, down = size // 16, size // 8
    halo = (size + 2 * (across - 1)) * (size + 2 * (down - 1)) * (4 if pooled else 1)
    assert result.counters["sectors_read"] == (halo + size * size) * 64 * 2 // 32


def test_splits_share_what_one_block_would_do(emulator_in: Get):
    case = Case((32, 32), (32, 32), size=(16, 16), batch=2)
    x, dy = normal_operands(case, BF16)
    whole, split = (
        run_weight_grad(emulator_in("plain"), case, tiles("narrow", (8, 8, n)), x, dy)
        for n in (1, 2)
    )
    assert (whole.counters["items"], split.counters["items"]) == (4, 8)
    for counter in ("mma", "ldmatrix", "copies"):
        assert whole.counters[counter] == split.counters[counter]
    # For each block the sums of its tile; those of dy for all, since each tile is the first column.
    assert split.counters["workspace"] == 8 * 32 * (9 * 32 + 1) * 4
    assert torch.allclose(whole.dweight.float(), split.dweight.float(), atol=0.2, rtol=0.02)
