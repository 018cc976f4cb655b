"""The weight gradient's kernels in the emulation where the bias's gradient is not asked for."""

from collections.abc import Callable

import torch
from cases import Case
from emulated_weight_grad import (
    HOPPER_SHARED,
    integer_operands,
    moved,
    run_weight_grad,
    tiles,
)
from emulation.emulator import Emulator
from emulators import ASAN, PLAIN, cases_in_modes

# Each kernel, with splits and without; the last two have a job for the bias alone, split or not.
CASES = {
    "3x3": (
        "weight_grad_sm90",
        Case((64, 64), (64, 64), size=(8, 16), batch=1),
        tiles("64", (8, 1, 1), (4, 1, 1)),
    ),
    "3x3 in splits": (
        "weight_grad_sm90",
        Case((24, 40), (8, 72), size=(11, 23), batch=3),
        tiles("32", (6, 1, 2), (6, 2, 1), (2, 1, 5), (6, 4, 1)),
    ),
    "1x1": (
        "weight_grad_1x1_sm90",
        Case((64, 64), (128, 128), (1, 1), size=(16, 16), batch=1),
        tiles("128", (32, 1, 1)),
    ),
    "1x1 in splits": (
        "weight_grad_1x1_sm90",
        Case((72, 136), (40, 88), (1, 1), size=(13, 18), batch=3),
        tiles("64", (32, 1, 3)),
    ),
    "1x1, portable": (
        "weight_grad_sm80",
        Case((40, 24), (72, 136), (1, 1), size=(9, 11), batch=3),
        tiles("joint128x64", (32, 2, 1)),
    ),
    "1x1 in splits, portable": (
        "weight_grad_sm80",
        Case((40, 24), (72, 136), (1, 1), size=(9, 11), batch=3),
        tiles("joint128x64", (32, 2, 2)),
    ),
    "3x3 in splits, portable": (
        "weight_grad_sm80",
        Case((40, 24), (72, 8), size=(9, 11), batch=3),
        tiles("narrow", (6, 7, 3), (5, 7, 2), (4, 3, 2)),
    ),
    "low alone, portable": (
        "weight_grad_sm80",
        Case((0, 40), (8, 72), size=(6, 7)),
        tiles("narrow", (6, 7, 1)),
    ),
    "low alone in splits, portable": (
        "weight_grad_sm80",
        Case((0, 40), (8, 72), size=(6, 7)),
        tiles("narrow", (6, 7, 3), (5, 7, 1)),
    ),
}


@cases_in_modes(*CASES, modes=(PLAIN, ASAN))
def test_without_the_gradient_of_the_bias(
    emulator_in: Callable[[str], Emulator], mode: str, name: str
) -> None:
    """The same bits for the weight, nothing for the bias, and less to do."""
    kernel, case, of_case = CASES[name]
    x, dy = (moved(parts, torch.bfloat16) for parts in integer_operands(case))
    both, weight_alone = (
        run_weight_grad(
            emulator_in(mode), case, of_case, x, dy, bias=bias, kernel=kernel,
            shared_limit=HOPPER_SHARED,
        )
        for bias in (True, False)
    )  # fmt: skip
    assert torch.equal(weight_alone.dweight, both.dweight)
    assert weight_alone.dbias.numel() == 0
    of_bias_alone = of_case.shapes[0][2] if "low alone" in name else 0
    assert both.counters["items"] - weight_alone.counters["items"] == of_bias_alone
    if mode == "plain":  # where there are counters
        assert weight_alone.counters["sectors_written"] < both.counters["sectors_written"]
        read = [run.counters["load_wavefronts"] for run in (both, weight_alone)]
        assert read[1] < read[0] if kernel.endswith("sm90") else read[1] <= read[0]
