"""The epilogue of the kernels for Hopper in the emulation: exact, rounded once, read once."""

from collections.abc import Callable

import pytest
import torch
from cases import Case, check_equal, multiples_of
from emulated_forward import (
    HopperJointTiles,
    HopperTiles,
    check_same_bits,
    present,
    run_forward,
)
from emulation.emulator import RUNS, Emulator
from emulators import ASAN, NO_COMPILER, PLAIN, PTX
from epilogues import ACTIVATIONS, Extras
from oracle import assert_accurate

Get = Callable[[str], Emulator]
BF16, F16 = torch.bfloat16, torch.float16
NONE, RELU, *OTHERS = range(len(ACTIVATIONS))

# Every geometry and width of tiles, odd and even sizes; channels that end blocks of columns early.
# Of a first layer and a last one a part is absent.
CASES = {
    "narrow": (Case((40, 24), (24, 8), size=(35, 31), bias=False), (0, (32, 32))),
    "wide": (Case((24, 40), (72, 104), size=(9, 67), batch=1), (0, (64, 64))),
    "wider": (Case((8, 24), (72, 136), size=(18, 20), batch=1), (0, (64, 128))),
    "first": (Case((40, 0), (40, 24), size=(13, 17)), (1, (64, 64))),
    "low 32": (Case((40, 24), (104, 40), size=(14, 27), batch=2), (1, (64, 32))),
    "low 128": (Case((24, 72), (40, 104), size=(28, 27), batch=1), (1, (64, 128))),
    "low 160": (Case((24, 8), (8, 168), size=(13, 17)), (1, (64, 160))),
    "last": (Case((40, 24), (72, 0), size=(13, 11), batch=3), (2, (64, 64))),
    "images": (Case((24, 40), (72, 168), size=(14, 5), batch=3), (2, (64, 160))),
    "linear": (Case((24, 40), (24, 8), size=(18, 55)), (3, (32, 32))),
    "narrow, registers": (Case((40, 24), (24, 8), size=(35, 31), batch=1), (4, (32, 32))),
    "wide, registers": (Case((24, 40), (72, 104), size=(9, 67), batch=1), (4, (64, 64))),
    "small, registers": (Case((40, 0), (40, 24), size=(13, 17)), (5, (64, 64))),
    "split": (Case((136, 72), (40, 104), size=(9, 14), batch=3), (2, (64, 128))),
}
# Of a kernel of one tap: each block has several items, whose boxes refill the residuals' place.
CASES_1X1 = {
    "1x1": (
        Case((24, 72), (72, 24), (1, 1), size=(13, 17)),
        HopperJointTiles(64, boxes=6, slots=2, blocks=1),
    ),
    "1x1, narrow": (
        Case((72, 8), (40, 72), (1, 1), size=(14, 19)),
        HopperJointTiles(32, boxes=5, slots=0, blocks=1),
    ),
    "1x1, groups": (
        Case((136, 24), (24, 200), (1, 1), size=(18, 18)),
        HopperJointTiles(64, groups=2, boxes=12, slots=2, blocks=2),
    ),
}
ALL_CASES = CASES | CASES_1X1


def tiles_of(name: str) -> HopperTiles | HopperJointTiles:
    if name in CASES_1X1:
        return CASES_1X1[name][1]
    late = {"narrow": (2, 2, 1000), "low 160": (4, 2, 1), "wide, registers": (3, 2, 3)}
    blocks = (3, 0) if name == "last" else late.get(name, (3, 1))
    return HopperTiles(*CASES[name][1], blocks, splits=4 if name == "split" else 1)


def sample() -> pytest.MarkDecorator:
    """Activations, types and residuals in turns."""
    params = []
    for i, name in enumerate(ALL_CASES):
        for residual in (False, True):
            types = tiles_of(name).types
            dtype = types[(i + residual) % len(types)]
            modes = [(PLAIN, dtype), *([(ASAN, BF16)] if residual and i % 3 == 0 else [])]
            modes += [(PTX, dtype)] * (i % 3 == 1)
            for mode, of_mode in modes:
                values = (*mode.values, name, of_mode, residual, (RELU, NONE)[i // 2 % 2])
                params.append(pytest.param(*values, marks=mode.marks))
    return pytest.mark.parametrize(("mode", "name", "dtype", "residual", "activation"), params)


@sample()
def test_is_exact_on_integers(emulator_in: Get, mode, name, dtype, residual, activation):
    case = ALL_CASES[name][0]
    operands = case.integers().to(dtype)
    extras = Extras.integers(case, residual, dtype)
    result = run_forward(
        emulator_in(mode), case, tiles_of(name), operands[:2], *operands[2:],
        extras=extras.arrays(activation),
    )  # fmt: skip
    check_equal(present(result), extras.exact(case.exact(operands), activation))
    assert result.counters["launches"] == 1


@NO_COMPILER
@pytest.mark.parametrize("dtype", [BF16, F16], ids=str)
@pytest.mark.parametrize(
    ("name", "activation", "residual"),
    [
        *(("narrow", activation, True) for activation in OTHERS),
        *(("first", activation, True) for activation in OTHERS),
        *(("images", activation, False) for activation in OTHERS),
        ("images", RELU, True),
        ("last", NONE, True),
    ],
)
def test_rounds_once(emulator_in: Get, name, activation, residual, dtype):
    """As accurate as the operators that PyTorch would run, or more."""
    case = CASES[name][0]
    operands = case.normal().to(dtype)
    extras = Extras(case, residual)
    extras.round_to(dtype)
    result = run_forward(
        emulator_in("plain"), case, tiles_of(name), operands[:2], *operands[2:],
        extras=extras.arrays(activation),
    )  # fmt: skip
    of_torch = torch.ops.octconv_cuda.inference(
        *operands, extras.scale, extras.shift, *extras.residuals, activation,
        case.out_channels[0], case.size, case.stride, False,
    )  # fmt: skip
    exact = extras.exact(case.exact(operands), activation)
    for part, same_dtype, float64 in zip(present(result), of_torch, exact, strict=True):
        if part is not None:
            assert_accurate(part, same_dtype, float64)


@NO_COMPILER
@pytest.mark.parametrize("name", ["images", "low 128"])  # of the first all low sums go by halves
def test_a_residual_of_one_part(emulator_in: Get, name: str):
    case = CASES[name][0]
    operands = case.integers().to(BF16)
    for absent in (0, 1):
        extras = Extras(case, True, multiples_of(1))
        extras.round_to(BF16)
        extras.drop(absent)
        result = run_forward(
            emulator_in("plain"), case, tiles_of(name), operands[:2], *operands[2:],
            extras=extras.arrays(NONE),
        )  # fmt: skip
        check_equal(present(result), extras.exact(case.exact(operands), NONE))


@NO_COMPILER
@pytest.mark.parametrize("name", ["images", "split", "1x1", "1x1, groups"])
def test_every_schedule_gives_the_same_bits(emulator_in: Get, name):
    case = ALL_CASES[name][0]
    operands = case.normal().to(BF16)
    extras = Extras(case, True)
    extras.round_to(BF16)
    results = [
        run_forward(
            emulator_in("plain"), case, tiles_of(name), operands[:2], *operands[2:],
            extras=extras.arrays(OTHERS[0]), run=run._replace(count=False),
        )
        for run in RUNS
    ]  # fmt: skip
    check_same_bits(results)


@NO_COMPILER
def test_residuals_are_read_once_and_results_written_once(emulator_in: Get):
    case = Case((64, 64), (64, 64), size=(32, 32), batch=1, bias=False)  # it fills its tiles
    operands = case.integers().to(BF16)
    counters = []
    for residual in (False, True):
        extras = Extras(case, residual)
        extras.round_to(BF16)
        tiles = HopperTiles(0, (64, 64))
        result = run_forward(
            emulator_in("plain"), case, tiles, operands[:2], *operands[2:],
            extras=extras.arrays(RELU),
        )  # fmt: skip
        counters.append(result.counters)
    sectors = (result.high.numel() + result.low.numel()) * 2 // 32
    assert counters[1]["sectors_read"] - counters[0]["sectors_read"] == sectors
    assert counters[0]["sectors_written"] == counters[1]["sectors_written"] == sectors
