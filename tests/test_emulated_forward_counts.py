"""What the fused kernel's tiles do, counted by the emulation: shared memory, tensor cores, bytes.

The counters of ldmatrix and mma are exact. Those of other accesses pair the lanes of a warp by how
often each has run the access, so they are exact where lanes run it equally often: tiles 16 wide.
"""

from collections.abc import Callable

import pytest
import torch
from cases import Case
from emulated_forward import Result, Tiles, run_forward
from emulation.emulator import Emulator
from emulators import NO_COMPILER

pytestmark = NO_COMPILER
WIDE = Tiles("wide", (16, 8, 1), (16, 16, 1))
SMALL = Tiles("small", (16, 4, 1), (16, 8, 1))


@pytest.fixture(scope="module")
def run(emulator_in: Callable[[str], Emulator]) -> Callable[..., Result]:
    def run(case: Case, tiles: Tiles, input_grad: bool = False) -> Result:
        operands = case.normal().to(torch.bfloat16)
        inputs = operands[:2]
        if input_grad:
            inputs = tuple(g.bfloat16() for g in case.normal_gradients())
        return run_forward(
            emulator_in("plain"), case, tiles, inputs, operands.weight, input_grad=input_grad
        )

    return run


def per_mma(result: Result) -> float:
    return result.counters["ldmatrix_wavefronts"] / result.counters["mma"]


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("input_grad", [False, True])
def test_phases_read_each_window_for_two_taps(run, kernel, input_grad):
    """The workhorse: high to high. Without reuse it would be 1.5 wavefronts to an mma."""
    case = Case((64, 0), (64, 0), (kernel, kernel), size=(32, 16), batch=1, bias=False)
    tiles, tiles_n = (WIDE, 8) if kernel == 3 else (SMALL, 4)
    result = run(case, tiles, input_grad)
    # Each of k rows of taps: k weights, of two n8 tiles to an ldmatrix, and 2 (k + 1) windows; 4 k
    # mma of each n8 tile.
    expected = 4 * (tiles_n / 2 * kernel + 2 * (kernel + 1)) / (4 * kernel * tiles_n)
    assert per_mma(result) == pytest.approx(expected)
    assert per_mma(result) <= 0.85 or kernel != 3
    # Transposed, the copies of the small tile's weight, 64 bytes to a row, conflict twofold.
    assert result.counters["bank_conflicts"] == 0 or (input_grad and tiles is SMALL)


@pytest.mark.parametrize("channels", [(0, 64), (64, 0)], ids=["low to low", "high to low"])
@pytest.mark.parametrize("input_grad", [False, True])
def test_low_tiles_have_no_bank_conflicts(run, channels, input_grad):
    parts = ((0, 128), channels) if input_grad else (channels, (0, 128))
    case = Case(*parts, size=(32, 32), batch=1, bias=False)
    result = run(case, WIDE, input_grad)
    assert result.counters["bank_conflicts"] == 0
    assert per_mma(result) == pytest.approx(1.0)


def test_every_mma_is_of_use_where_tiles_fit(run):
    """64 quads to all four phases, in both kinds of tile: as many mma as products."""
    case = Case((64, 64), (64, 128), size=(32, 32), batch=1, bias=False)
    result = run(case, WIDE)
    (high_in, low_in), (high_out, low_out) = case.in_channels, case.out_channels
    quads, taps = 16 * 16, 9
    products = quads * taps * (4 * high_in * high_out + low_in * (high_out + low_out))
    products += quads * taps * high_in * low_out
    assert result.counters["mma"] * 16 * 8 * 16 == products


def test_reads_are_near_the_least(run):
    """What all tiles ask of the second-level cache: each map with its halo, and the weights."""
    case = Case((32, 32), (32, 32), size=(64, 64), batch=1, bias=False)
    result = run(case, Tiles("wide", (16, 8, 1), (16, 16, 1)))

    def pixels(tiles: int, height: int, width: int) -> int:
        return tiles * height * width * 32 * 2 // 32  # sectors of 32 channels

    # Eight high tiles of 16 x 8 quads, half of them at the image's border, and four low ones of 16
    # x 16; halos end at the border.
    high = pixels(4, 17, 33) + pixels(4, 18, 33) + pixels(4, 9, 17) + pixels(4, 10, 17)
    low = pixels(4, 34, 34) + pixels(4, 17, 17)
    weights = (8 * 9 * 32 * 64 + 4 * 9 * 32 * 64) * 2 // 32
    assert result.counters["sectors_read"] == pytest.approx(high + low + weights, rel=0.01)
    once = (64 * 64 + 32 * 32 + 9 * 64 * 2) * 32 * 2 // 32
    assert result.counters["sectors_read"] < 3 * once


def test_one_launch_moves_nothing_between_the_paths(run):
    """No pooled, low-resolution or upsampled tensor is written: only the results."""
    case = Case((64, 64), (64, 64), size=(32, 32), batch=2, bias=False)
    result = run(case, WIDE)
    assert result.counters["launches"] == 1
    assert (
        result.counters["sectors_written"] == (result.high.numel() + result.low.numel()) * 2 // 32
    )
