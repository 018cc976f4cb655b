"""Plans as they are, run by the kernel in the emulation: exact, and what the model counts."""

from collections.abc import Callable

import pytest
import torch
from cases import Case, check_equal, multiples_of
from emulated_forward import exact_input_grad, present, run_forward
from emulation.emulator import Emulator
from emulators import NO_COMPILER
from plans import TYPES, Problem, launch_of, plan_of, tiles_of

pytestmark = NO_COMPILER

# Small ones, of every kernel size and stride; a device with much shared memory, one with little.
PLANNED = {
    "3x3": (Case((32, 32), (32, 32), size=(28, 28)), "bfloat16", "H200"),
    "odd": (Case((40, 24), (72, 16), size=(23, 17), batch=3), "float16", "RTX 3090"),
    "split": (Case((96, 96), (96, 96), size=(14, 14), batch=1), "bfloat16", "H200"),
    "1x1": (Case((72, 40), (64, 136), (1, 1), size=(14, 9)), "bfloat16", "A100"),
    "5x5": (Case((24, 16), (32, 16), (5, 5), size=(16, 16), batch=1), "float16", "H100"),
    "7x7": (Case((16, 16), (16, 16), (7, 7), size=(13, 9)), "bfloat16", "RTX 4090"),
    "stride 2": (Case((32, 16), (32, 24), stride=2, size=(20, 25)), "bfloat16", "H200"),
    "one pixel": (Case((16, 8), (8, 16), size=(1, 1), batch=9), "bfloat16", "H200"),
    "high alone": (Case((40, 0), (32, 0), size=(12, 12), batch=1), "bfloat16", "A100"),
    "low alone": (Case((0, 40), (0, 32), size=(12, 12), batch=1), "bfloat16", "A100"),
    "tf32": (Case((24, 24), (40, 16), size=(12, 14)), "tf32", "A100"),
}


@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize("name", PLANNED)
def test_planned_tiles_give_exact_results(
    emulator_in: Callable[[str], Emulator], name: str, input_grad: bool
) -> None:
    case, dtype, device = PLANNED[name]
    channels = (*case.in_channels, *case.out_channels)
    problem = Problem(
        case.batch, *case.size, *channels, case.kernel_size[0], case.stride, input_grad
    )
    plan = plan_of(problem, dtype, device)
    tiles = tiles_of(plan)
    element = getattr(torch, TYPES[dtype])
    emulator = emulator_in("plain")
    if input_grad:
        taps = sum(case.out_channels) * case.kernel_size[0] ** 2
        weight = multiples_of(1, share=min(1, 24 / taps))(
            sum(case.out_channels), sum(case.in_channels), *case.kernel_size
        )
        dy = tuple(4**case.stride * g for g in case.integer_gradients())
        inputs = tuple(g.to(element) for g in dy)
        result = run_forward(emulator, case, tiles, inputs, weight.to(element), input_grad=True)
        check_equal(present(result), exact_input_grad(case, weight, dy))
    else:
        operands = case.integers().to(element)
        result = run_forward(emulator, case, tiles, operands[:2], *operands[2:])
        check_equal(present(result), case.exact(operands))
    model = launch_of(emulator, problem, dtype, tiles)["counts"]
    for counter in ("mma", "ldmatrix", "copies"):
        assert model[counter] == result.counters[counter], counter
    if name == "split":
        assert max(plan["high"]["shape"][2], plan["low"]["shape"][2]) > 1
