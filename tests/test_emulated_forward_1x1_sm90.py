"""The kernel for 1x1 on Hopper in the emulation: exact, accurate, the same in every schedule."""

import math
from collections.abc import Callable

import pytest
import torch
from cases import Case, half
from emulated_forward import (
    HopperJointTiles,
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
    return Case(ins, outs, (1, 1), size=size, batch=batch, bias=sum(ins) % 16 == 0)


# Channels that end steps, chunks and ranges of columns early; odd sizes; phases that no quad has;
# boxes of several images, which are one image where their height is even.
CASES = {
    "a box": case_of((8, 8), (8, 8), 16, 16),
    "odd": case_of((24, 72), (72, 24), 13, 17, batch=2),
    "chunks": case_of((136, 24), (24, 136), 9, 18, batch=2),
    "columns": case_of((72, 136), (136, 72), 18, 7),
    "images": case_of((72, 8), (8, 136), 5, 7, batch=9),
    "stacked": case_of((8, 72), (136, 8), 6, 5, batch=8),
    "pixels": case_of((24, 8), (8, 24), 1, 1, batch=70),
    "a row": case_of((8, 136), (72, 8), 1, 90),
    "a column": case_of((136, 8), (24, 72), 90, 1),
    "high in": case_of((72, 0), (24, 136), 9, 11, batch=2),
    "high out": case_of((136, 24), (72, 0), 12, 7, batch=2),
}
TILES = {
    "32": HopperJointTiles(32),
    "32, streams": HopperJointTiles(32, boxes=5, slots=1, blocks=1),
    "64": HopperJointTiles(64, blocks=3),
    "64, streams": HopperJointTiles(64, boxes=2, slots=2),
    "2 * 64": HopperJointTiles(64, groups=2, boxes=2, blocks=1),
    "2 * 64, streams": HopperJointTiles(64, groups=2, boxes=7, slots=3, blocks=4),
    "32, small": HopperJointTiles(32, boxes=5, slots=2, blocks=3, quads=21),
    "2 * 64, small": HopperJointTiles(64, groups=2, boxes=2, slots=1, blocks=4, quads=5),
}


def sample() -> pytest.MarkDecorator:
    """Cases and tiles; types in turns."""
    params = []
    for i, (name, case) in enumerate(CASES.items()):
        for j, (tiles_name, tiles) in enumerate(TILES.items()):
            modes = [(PLAIN, (BF16, F16)[(i + j) % 2])]
            if (i + j) % 4 == 0:  # float16 is bfloat16 but for two conversions there
                modes.append((ASAN, BF16))
            if (i + j) % 4 == 1:
                modes.append((PTX, F16 if i % 4 == 0 else BF16))
            for mode, dtype in modes:
                label = f"{name}-{tiles_name}-{dtype}-{mode.values[0]}"
                values = (*mode.values, case, tiles, dtype)
                params.append(pytest.param(*values, id=label, marks=mode.marks))
    return pytest.mark.parametrize(("mode", "case", "tiles", "dtype"), params)


@sample()
def test_forward_is_exact_on_integers(emulator_in: Get, mode, case, tiles, dtype):
    check_forward(emulator_in(mode), case, tiles, dtype)


@sample()
def test_input_grad_is_exact_on_integers(emulator_in: Get, mode, case, tiles, dtype):
    check_input_grad(emulator_in(mode), case, tiles, dtype)


@NO_COMPILER
@pytest.mark.parametrize("dtype", [BF16, F16], ids=str)
@pytest.mark.parametrize("name", ["odd", "chunks"])
@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
def test_as_accurate_as_torch(emulator_in: Get, input_grad, name, dtype):
    case, tiles = CASES[name], TILES["2 * 64"]
    check_as_accurate_as_torch(emulator_in("plain"), case, tiles, dtype, input_grad=input_grad)


@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize(
    ("mode", "name", "tiles"),
    [
        pytest.param(*mode.values, name, tiles, marks=mode.marks)
        for name, tiles, modes in (
            ("odd", "2 * 64, streams", (PLAIN, ASAN, PTX, TSAN)),
            ("chunks", "32", (PLAIN, ASAN, PTX)),
            ("images", "64, streams", (PLAIN, ASAN, PTX)),
        )
        for mode in modes
    ],
)
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode, name, tiles, input_grad):
    check_schedules(emulator_in(mode), CASES[name], TILES[tiles], input_grad)


@NO_COMPILER
@pytest.mark.parametrize("stays", [False, True], ids=["streams", "stays"])
def test_pixels_are_loaded_and_products_made_once_where_tiles_fit(emulator_in: Get, stays):
    case = Case((64, 64), (128, 128), (1, 1), size=(32, 32), batch=2, bias=False)
    tiles = HopperJointTiles(groups=2, slots=0 if stays else 2)
    operands = case.normal().to(BF16)
    result = run_forward(emulator_in("plain"), case, tiles, operands[:2], operands.weight)
    quads = case.batch * math.prod(half(case.size))
    assert result.counters["wgmma"] * 64 * 8 * 16 == quads * 5 * 64 * 2 * 128
    weights = (tiles.blocks if stays else quads // 64) * 128 * 256
    assert result.counters["box_bytes"] == 2 * (quads * 5 * 64 + weights)
    assert result.counters["sectors_read"] == result.counters["bank_conflicts"] == 0
    assert result.counters["launches"] == 1
