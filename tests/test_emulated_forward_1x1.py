"""The kernel for 1x1 in the emulation: exact, accurate, the same in every schedule, and counted."""

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from cases import Case, half
from emulated_forward import (
    JointTiles,
    Result,
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
TILES = {
    "64": JointTiles(),
    "64, one block, four stages": JointTiles(stages=4, blocks=1),
    "64, more blocks than items": JointTiles(stages=2, blocks=9),
    "32": JointTiles("joint32", stages=2),
    "32, few quads": JointTiles("joint32", quads=48, stages=3, blocks=2),
}


def case_of(ins: tuple[int, int], outs: tuple[int, int], *size: int, batch: int = 2) -> Case:
    return Case(ins, outs, (1, 1), size=size, batch=batch, bias=sum(ins) % 16 == 8)


# Alphas of 0, 1/4, 1/2, 3/4 and 1 on either side; channels and columns with tails of every kind;
# images of one pixel, one row, odd and even sizes; fewer and more items than blocks.
CASES = {
    "half": case_of((32, 32), (64, 64), 16, 16),
    "quarter in": case_of((72, 24), (40, 40), 9, 7, batch=3),
    "quarter out": case_of((40, 40), (72, 24), 7, 12, batch=3),
    "three quarters": case_of((24, 72), (8, 72), 11, 13),
    "high in": case_of((72, 0), (32, 40), 13, 8),
    "low in": case_of((0, 40), (24, 72), 10, 9),
    "high out": case_of((24, 40), (72, 0), 15, 6),
    "low out": case_of((40, 24), (0, 136), 9, 15),
    "high alone": case_of((24, 0), (136, 0), 6, 7),
    "low alone": case_of((0, 72), (0, 8), 13, 13),
    "high to low": case_of((40, 0), (0, 72), 9, 9),
    "low to high": case_of((0, 8), (40, 0), 9, 10),
    "a pixel to each image": case_of((8, 8), (8, 8), 1, 1, batch=131),
    "rows": case_of((16, 8), (72, 8), 1, 300, batch=1),
    "columns": case_of((8, 16), (8, 72), 261, 1, batch=1),
    "many items": case_of((40, 8), (136, 72), 23, 25, batch=3),
}
DTYPES = (BF16, F16, TF32)


def sample() -> pytest.MarkDecorator:
    """Cases, tiles and types in turns, so that each pair of values occurs somewhere."""
    params = []
    for i, name in enumerate(CASES):
        for j, tiles in enumerate(TILES):
            dtype = DTYPES[(i + j) % 3]
            modes = [(PLAIN, dtype)]
            if (i + j) % len(TILES) == 0:  # float16 is bfloat16 but for two conversions there
                modes.append((ASAN, BF16 if dtype == F16 else dtype))
            for mode, used in modes:
                label = f"{name}-{tiles}-{used}-{mode.values[0]}".replace("torch.", "")
                values = (*mode.values, CASES[name], TILES[tiles], used)
                params.append(pytest.param(*values, id=label, marks=mode.marks))
    return pytest.mark.parametrize(("mode", "case", "tiles", "dtype"), params)


@sample()
def test_forward_is_exact_on_integers(emulator_in: Get, mode, case, tiles, dtype):
    check_forward(emulator_in(mode), case, tiles, dtype)


@sample()
def test_input_grad_is_exact_on_integers(emulator_in: Get, mode, case, tiles, dtype):
    check_input_grad(emulator_in(mode), case, tiles, dtype)


@NO_COMPILER
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("tiles", ["64", "32"])
@pytest.mark.parametrize("name", ["quarter in", "three quarters", "high in", "many items"])
@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
def test_as_accurate_as_torch(emulator_in: Get, input_grad, name, tiles, dtype):
    check_as_accurate_as_torch(
        emulator_in("plain"), CASES[name], TILES[tiles], dtype, input_grad=input_grad
    )


# The sanitizers are slow: they get two of these.
DIRECTIONS = {
    "forward": (BF16, False, (PLAIN, ASAN, TSAN)),
    "input_grad": (BF16, True, (PLAIN,)),
    "tf32 forward": (TF32, False, (PLAIN,)),
    "tf32 input_grad": (TF32, True, (PLAIN, ASAN, TSAN)),
}


@pytest.mark.parametrize(
    ("mode", "dtype", "input_grad"),
    [
        pytest.param(*mode.values, dtype, grad, id=f"{name}-{mode.values[0]}", marks=mode.marks)
        for name, (dtype, grad, modes) in DIRECTIONS.items()
        for mode in modes
    ],
)
@pytest.mark.parametrize(
    ("name", "tiles"),
    [("quarter in", "64"), ("many items", "32"), ("high out", "32, few quads")],
)
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode, dtype, input_grad, name, tiles):
    case = CASES[name]
    if mode == "tsan":  # a few blocks suffice for races
        case = dataclasses.replace(case, size=(9, 11), batch=2)
    runs = [Run(schedule, late, seed, blocks, False) for schedule, late, seed, blocks, _ in RUNS]
    operands = case.normal().to(dtype)
    inputs, bias = operands[:2], operands.bias
    if input_grad:
        inputs, bias = tuple(g.to(dtype) for g in case.normal_gradients()), None
    results = [
        run_forward(
            emulator_in(mode), case, TILES[tiles], inputs, operands.weight, bias,
            input_grad=input_grad, run=run,
        )
        for run in (runs if mode == "plain" else runs[::3])
    ]  # fmt: skip
    check_same_bits(results)


@NO_COMPILER
@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
def test_tiles_stages_and_blocks_change_nothing(emulator_in: Get, input_grad):
    """Sums run in the same order in every tiling, so even their bits agree."""
    case = dataclasses.replace(CASES["many items"], bias=False)
    operands = case.normal().to(BF16)
    inputs = operands[:2]
    if input_grad:
        inputs = tuple(g.to(BF16) for g in case.normal_gradients())
    tilings = [
        JointTiles(name, quads, stages, blocks)
        for name in ("joint64", "joint32")
        for quads, stages, blocks in ((128, 4, 1), (112, 3, 5), (64, 2, 7), (16, 4, 200))
    ]
    check_same_bits(
        [
            run_forward(
                emulator_in("plain"), case, tiles, inputs, operands.weight, input_grad=input_grad
            )
            for tiles in tilings
        ]
    )


@pytest.fixture(scope="module")
def count(emulator_in: Get) -> Callable[..., Result]:
    def count(case: Case, tiles: JointTiles, input_grad: bool = False) -> Result:
        operands = case.normal().to(BF16)
        inputs = operands[:2]
        if input_grad:
            inputs = tuple(g.to(BF16) for g in case.normal_gradients())
        emulator = emulator_in("plain")
        return run_forward(emulator, case, tiles, inputs, operands.weight, input_grad=input_grad)

    return count


FULL = Case((64, 32), (128, 128), (1, 1), size=(32, 32), batch=2, bias=False)


@NO_COMPILER
@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize("tiles", [JointTiles(), JointTiles("joint32")], ids=lambda t: t.name)
def test_memory_is_read_once_for_each_column_tile(count, tiles, input_grad):
    """And only results are written: nothing pooled, upsampled or of low resolution in between."""
    case = dataclasses.replace(FULL, out_channels=(64, 64)) if input_grad else FULL
    result = count(case, tiles, input_grad)
    channels = case.in_channels, case.out_channels
    ins, outs = reversed(channels) if input_grad else channels
    quads = case.batch * math.prod(half(case.size))
    column_tiles = math.ceil(max(outs) / int(tiles.name.removeprefix("joint")))
    maps = quads * (4 * ins[0] + ins[1])
    weights = quads // tiles.quads * sum(ins) * sum(outs)
    assert result.counters["sectors_read"] == (column_tiles * maps + weights) * 2 // 32
    assert result.counters["sectors_written"] == quads * (4 * outs[0] + outs[1]) * 2 // 32
    assert result.counters["launches"] == 1


@NO_COMPILER
@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize("tiles", [JointTiles(), JointTiles("joint32")], ids=lambda t: t.name)
def test_shared_memory_has_no_bank_conflicts(count, tiles, input_grad):
    """A step of the high input: four phases and both parts' weights, two n8 tiles to each load."""
    columns = int(tiles.name.removeprefix("joint"))
    case = Case((64, 0), (columns, columns), (1, 1), size=(32, 32), batch=1, bias=False)
    if input_grad:
        case = dataclasses.replace(
            case, in_channels=case.out_channels, out_channels=case.in_channels
        )
    counters = count(case, tiles, input_grad).counters
    assert counters["bank_conflicts"] == 0
    steps = 2 * 64 // 16 * 8  # of all warps in two items
    assert counters["mma"] == steps * 5 * columns // 8
    assert counters["ldmatrix"] == steps * (4 + 2 * columns // 16)
    assert counters["ldmatrix_wavefronts"] / counters["mma"] == (1.2 if columns == 64 else 1.6)


@NO_COMPILER
def test_parts_that_an_item_has_not_cost_nothing(count):
    """Half of the column tiles have high columns alone."""
    case = Case((64, 64), (128, 64), (1, 1), size=(32, 32), batch=1, bias=False)
    counters = count(case, JointTiles()).counters
    items, warps, steps, n8 = 2, 8, 4, 8
    low_input, high_input = (1 + 1, 1), (4 + 1, 4)  # m16 tiles of items with a low part, without
    assert counters["mma"] == items * warps * steps * n8 * (sum(low_input) + sum(high_input))
    maps = 2 * items * 128 * (4 * 64 + 64)  # each column tile reads them
    assert counters["sectors_read"] == (maps + items * 128 * 192) * 2 // 32


@NO_COMPILER
def test_channels_end_where_the_steps_end(count):
    """Of a chunk that ends half way only the steps that hold channels are multiplied."""
    case = Case((40, 8), (64, 64), (1, 1), size=(16, 16), batch=1, bias=False)
    counters = count(case, JointTiles(quads=64)).counters
    assert counters["mma"] == 4 * 8 * (3 * 5 + 1 * 2)  # warps of the tile, n8, steps x m16 tiles
