"""The kernel for Hopper in the emulation: exact, accurate, the same in every schedule, counted."""

import math
from collections.abc import Callable

import pytest
import torch
from cases import Case, half
from emulated_forward import (
    HopperTiles,
    Result,
    check_as_accurate_as_torch,
    check_forward,
    check_input_grad,
    check_schedules,
    run_forward,
)
from emulation.emulator import Emulator
from emulators import ASAN, NO_COMPILER, PLAIN, PTX, TSAN

Get = Callable[[str], Emulator]
BF16, F16 = torch.bfloat16, torch.float16


def case_of(ins: tuple[int, int], outs: tuple[int, int], *size: int, batch: int = 1) -> Case:
    return Case(ins, outs, size=size, batch=batch, bias=sum(ins) % 16 == 0)


# By geometry: channels that end chunks, steps and column tiles early; odd sizes; images that leave
# tiles half empty; weights that stay, and tiles that share a block.
CASES = {
    0: {
        "a tile": case_of((8, 8), (8, 8), 16, 16),
        "weights stay": case_of((40, 24), (24, 8), 35, 31, batch=2),
        "two chunks": case_of((72, 104), (40, 104), 19, 37),
        "column tiles": case_of((24, 40), (104, 72), 9, 67),
        "two rows": case_of((8, 72), (72, 24), 2, 70),
    },
    1: {
        "steps": case_of((24, 72), (40, 104), 13, 17, batch=2),
        "largest": case_of((40, 8), (8, 72), 28, 27),
        "few inputs": case_of((8, 8), (72, 40), 14, 9),
        "chunks": case_of((104, 40), (104, 8), 15, 2),
        "rounds": case_of((64, 64), (64, 64), 28, 28, batch=3),  # of the ring of strips
    },
    2: {
        "images": case_of((104, 40), (40, 104), 13, 11, batch=3),
        "more images": case_of((8, 72), (72, 24), 14, 5, batch=9),
        "a quad": case_of((40, 24), (8, 40), 2, 2),
    },
    3: {
        "rows": case_of((40, 24), (24, 8), 17, 56, batch=2),
        "chunks and columns": case_of((24, 72), (40, 32), 18, 55),
        "narrow": case_of((8, 40), (32, 24), 9, 33, batch=3),
        "small": case_of((72, 40), (24, 40), 14, 13, batch=2),
    },
}
# The same tiles through registers, where a chunk or two halves of it are the high input.
CASES[4] = {name: CASES[0][name] for name in ("weights stay", "two chunks", "column tiles")}
CASES[5] = {name: CASES[1][name] for name in ("steps", "largest", "chunks", "rounds")}
# One part absent, or one of each: columns (32, 32) only where the geometry has them.
ABSENT = {
    "no low input": (0, case_of((40, 0), (24, 8), 35, 31, batch=2), (32, 32)),
    "two chunks stay": (0, case_of((72, 0), (24, 40), 9, 67), (64, 64)),
    "no low output": (0, case_of((72, 24), (104, 0), 19, 37), (64, 160)),
    "no high input": (0, case_of((0, 72), (40, 24), 35, 31, batch=2), (32, 32)),
    "no high output": (0, case_of((24, 40), (0, 72), 18, 34), (64, 64)),
    "first layer": (1, case_of((104, 0), (40, 168), 13, 17, batch=2), (64, 160)),
    "last layer": (1, case_of((8, 72), (72, 0), 28, 27, batch=3), (64, 64)),
    "high to low": (1, case_of((72, 0), (0, 40), 15, 2), (64, 128)),
    "small first layer": (2, case_of((72, 0), (8, 24), 13, 11, batch=3), (64, 64)),
    "small last layer": (2, case_of((40, 24), (72, 0), 14, 5, batch=9), (64, 128)),
    "low to high": (2, case_of((0, 72), (40, 0), 2, 2), (64, 160)),
    "rows of high alone": (3, case_of((24, 0), (40, 8), 10, 56, batch=2), (32, 32)),
    "registers, no low input": (4, case_of((72, 0), (24, 40), 9, 67), (64, 64)),
    "registers, no high input": (5, case_of((0, 40), (24, 40), 13, 17), (64, 64)),
    "registers, no low output": (5, case_of((40, 24), (72, 0), 13, 17), (64, 64)),
}
COLUMNS = {
    0: ((32, 32), (64, 32), (64, 64), (64, 128), (64, 160)),
    1: ((64, 32), (64, 64), (64, 128), (64, 160)),
    2: ((64, 32), (64, 64), (64, 128), (64, 160)),
    3: ((32, 32),),
    4: ((32, 32), (64, 64)),
    5: ((64, 64),),
}
BLOCKS = ((2, 1), (5, 2), (3, 2, 3), (9, 4), (2, 2, 1000), (4, 3, 1))


def sample() -> pytest.MarkDecorator:
    """Cases and columns of each geometry; blocks and types in turns."""
    params = []
    for geometry, cases in CASES.items():
        for i, (name, case) in enumerate(cases.items()):
            for j, columns in enumerate(COLUMNS[geometry]):
                tiles = HopperTiles(geometry, columns, BLOCKS[(i + j) % len(BLOCKS)])
                modes = [(PLAIN, tiles.types[(i + j) % len(tiles.types)])]
                if (i + j) % 3 == 0:  # float16 is bfloat16 but for two conversions there
                    modes.append((ASAN, BF16))
                if (i + j) % 3 == 1:
                    modes.append((PTX, tiles.types[(i + j) % len(tiles.types)]))
                for mode, dtype in modes:
                    label = f"{geometry}-{name}-{columns}-{dtype}-{mode.values[0]}"
                    values = (*mode.values, case, tiles, dtype)
                    params.append(pytest.param(*values, id=label, marks=mode.marks))
    return pytest.mark.parametrize(("mode", "case", "tiles", "dtype"), params)


@sample()
def test_forward_is_exact_on_integers(emulator_in: Get, mode, case, tiles, dtype):
    check_forward(emulator_in(mode), case, tiles, dtype)


@sample()
def test_input_grad_is_exact_on_integers(emulator_in: Get, mode, case, tiles, dtype):
    check_input_grad(emulator_in(mode), case, tiles, dtype)


def tiles_of_absent(name: str, input_grad: bool) -> HopperTiles:
    """An octave without channels that come out has no blocks."""
    geometry, case, columns = ABSENT[name]
    high, low = case.in_channels if input_grad else case.out_channels
    blocks = (4, 0) if low == 0 else (4, 4) if high == 0 else (4, 2, 1)
    return HopperTiles(geometry, columns, blocks)


@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize(
    ("mode", "name", "dtype"),
    [
        pytest.param(*mode.values, name, dtype, marks=mode.marks)
        for i, (name, (geometry, _, columns)) in enumerate(ABSENT.items())
        for types in (HopperTiles(geometry, columns).types,)
        for mode, dtype in ((PLAIN, types[i % len(types)]), *([(ASAN, BF16)] if i % 5 == 0 else []))
    ],
)
def test_parts_may_be_absent(emulator_in: Get, mode, name, dtype, input_grad):
    case, tiles = ABSENT[name][1], tiles_of_absent(name, input_grad)
    (check_input_grad if input_grad else check_forward)(emulator_in(mode), case, tiles, dtype)


@NO_COMPILER
@pytest.mark.parametrize("dtype", [BF16, F16], ids=str)
@pytest.mark.parametrize("name", ["no low input", "last layer"])
def test_as_accurate_without_a_part(emulator_in: Get, name, dtype):
    emulator, case = emulator_in("plain"), ABSENT[name][1]
    for input_grad in (False, True):
        tiles = tiles_of_absent(name, input_grad)
        check_as_accurate_as_torch(emulator, case, tiles, dtype, input_grad=input_grad)


@NO_COMPILER
@pytest.mark.parametrize(
    ("tiles", "name", "dtype"),
    [
        (tiles, name, dtype)
        for geometry, name in (
            (0, "two chunks"), (1, "steps"), (2, "images"), (4, "two chunks"), (5, "steps")
        )
        for tiles in (HopperTiles(geometry, (64, 64)),)
        for dtype in tiles.types
    ],
    ids=str,
)  # fmt: skip
def test_as_accurate_as_torch(emulator_in: Get, tiles, name, dtype):
    case = CASES[tiles.geometry][name]
    check_as_accurate_as_torch(emulator_in("plain"), case, tiles, dtype)


# In geometries 1, 2 and 5 windows of quads outside of the map reach into what others fill. Nobody
# stores what they give, but thread sanitizer cannot know.
@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize(
    ("mode", "geometry", "name", "columns"),
    [
        pytest.param(*mode.values, geometry, name, columns, marks=mode.marks)
        for geometry, name, columns in (
            (0, "weights stay", (32, 32)),
            (0, "two chunks", (64, 160)),
            (1, "steps", (64, 128)),
            (1, "rounds", (64, 64)),
            (2, "images", (64, 160)),
            (3, "rows", (32, 32)),
            (4, "column tiles", (32, 32)),
            (4, "two chunks", (64, 64)),
            (5, "rounds", (64, 64)),
        )
        for mode in ((PLAIN, ASAN, PTX) if geometry in (1, 2, 5) else (PLAIN, ASAN, PTX, TSAN))
    ],
)
def test_every_schedule_gives_the_same_bits(
    emulator_in: Get, mode, geometry, name, columns, input_grad
):
    tiles = HopperTiles(geometry, columns, (4, 2, 1))
    check_schedules(emulator_in(mode), CASES[geometry][name], tiles, input_grad)


@NO_COMPILER
@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize("name", ["no low input", "small last layer"])
def test_every_schedule_without_a_part(emulator_in: Get, name, input_grad):
    tiles = tiles_of_absent(name, input_grad)
    check_schedules(emulator_in("plain"), ABSENT[name][1], tiles, input_grad)


# Quads that fill tiles of geometry 0, channels that fill chunks.
FULL = Case((64, 128), (64, 64), size=(32, 64), batch=2, bias=False)
QUADS, TAPS, CELL, CHUNK = 2 * math.prod(half(FULL.size)), 9, 128, 64
HIGH_TILES, LOW_TILES = QUADS // 128, QUADS // 256


@pytest.fixture(scope="module")
def full(emulator_in: Get) -> Result:
    return counted(emulator_in, FULL)


def counted(emulator_in: Get, case: Case) -> Result:
    operands = case.normal().to(BF16)
    tiles = HopperTiles(0, (64, 64))
    return run_forward(emulator_in("plain"), case, tiles, operands[:2], *operands[2:])


@NO_COMPILER
def test_every_product_is_of_use_where_tiles_fit(full: Result):
    (high_in, low_in), (high_out, low_out) = FULL.in_channels, FULL.out_channels
    of_high = (4 * high_in + low_in) * high_out
    of_low = (high_in + low_in) * low_out
    assert full.counters["wgmma"] * 64 * 8 * 16 == QUADS * TAPS * (of_high + of_low)


@NO_COMPILER
def test_half_a_chunk_takes_half_of_the_steps(emulator_in: Get):
    case = Case((32, 40), (64, 64), size=(32, 32), batch=1, bias=False)
    result = counted(emulator_in, case)
    high_in, low_in = 32, 64  # 40 channels take a whole chunk
    products = 256 * TAPS * 64 * (4 * high_in + low_in + high_in + low_in)
    assert result.counters["wgmma"] * 64 * 8 * 16 == products


@NO_COMPILER
def test_boxes_are_loaded_once_for_each_tile(full: Result):
    high_chunks, low_chunks = (channels // CHUNK for channels in FULL.in_channels)
    of_high = high_chunks * 4 * 17 * 9 + low_chunks * 18 * 10
    strips = 18 * 2 * 36  # of pixels, that low tiles pool
    of_low = low_chunks * 18 * 18 + high_chunks * strips
    weights = TAPS * (high_chunks + low_chunks) * 64 * (HIGH_TILES + LOW_TILES)
    cells = HIGH_TILES * of_high + LOW_TILES * of_low + weights
    assert full.counters["box_bytes"] == cells * CELL


@NO_COMPILER
def test_weights_that_stay_are_loaded_once_for_each_block(emulator_in: Get):
    """Those of high tiles, by two blocks; beside the strips of low tiles there is no room."""
    case = Case((64, 64), (64, 64), size=(32, 64), batch=2, bias=False)
    result = counted(emulator_in, case)
    maps = HIGH_TILES * (4 * 17 * 9 + 18 * 10) + LOW_TILES * (18 * 18 + 18 * 2 * 36)
    weights = TAPS * 2 * 64 * (2 + LOW_TILES)
    assert result.counters["box_bytes"] == (maps + weights) * CELL


@NO_COMPILER
def test_threads_read_nothing_and_write_each_result_once(full: Result):
    assert full.counters["sectors_read"] == 0
    results = full.high.numel() + full.low.numel()
    assert full.counters["sectors_written"] == results * 2 // 32
    assert full.counters["bank_conflicts"] == 0
    assert full.counters["launches"] == 1
