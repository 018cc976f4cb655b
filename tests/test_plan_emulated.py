"""Plans as they are, run by the kernel in the emulation: exact, and what the model counts."""

from collections.abc import Callable

import pytest
import torch
from cases import Case
from emulated_forward import check_forward, check_input_grad
from emulation.emulator import Emulator
from emulators import NO_COMPILER
from plans import TYPES, Problem, launch_of, plan_of, tiles_of

pytestmark = NO_COMPILER

# Small ones, of every kernel size and stride; a device with much shared memory, one with little.
PLANNED = {
    "3x3": (Case((32, 32), (32, 32), size=(28, 28)), "bfloat16", "H200"),
    "odd": (Case((40, 24), (72, 16), size=(23, 17), batch=3), "float16", "RTX 3090"),
    "split": (Case((256, 256), (256, 256), size=(8, 8), batch=1), "bfloat16", "H200"),
    "1x1": (Case((72, 40), (64, 136), (1, 1), size=(14, 9)), "bfloat16", "A100"),
    "1x1 tf32": (Case((40, 24), (24, 72), (1, 1), size=(15, 8)), "tf32", "RTX 4090"),
    "1x1 large": (Case((16, 8), (8, 24), (1, 1), size=(64, 65), batch=3), "float16", "RTX 3090"),
    "1x1 high alone": (Case((72, 0), (40, 0), (1, 1), size=(9, 9)), "bfloat16", "H200"),
    "1x1 stride 2": (Case((40, 24), (16, 72), (1, 1), stride=2, size=(9, 9)), "bfloat16", "A100"),
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
    result = (check_input_grad if input_grad else check_forward)(emulator, case, tiles, element)
    model = launch_of(emulator, problem, dtype, tiles)["counts"]
    for counter in ("mma", "ldmatrix", "copies"):
        assert model[counter] == result.counters[counter], counter
    joint = case.kernel_size == (1, 1) and case.stride == 1
    assert plan["kernel"] == ("forward_1x1_sm80" if joint else "forward_sm80")
    if name == "split":
        assert max(plan["high"]["shape"][2], plan["low"]["shape"][2]) > 1
