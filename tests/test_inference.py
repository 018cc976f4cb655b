"""The operator ``inference``: scale and shift, residual, activation; and its kernel."""

from collections.abc import Callable

import pytest
import torch
from cases import Case
from emulated_forward import JointTiles, Tiles, present, run_forward
from emulation.emulator import Emulator
from emulators import ASAN, PLAIN
from epilogues import Extras
from oracle import assert_accurate
from torch import Tensor

CASE = Case((24, 16), (16, 40), size=(9, 7))
infer = torch.ops.octconv_cuda.inference


def arguments(case: Case, extras: Extras, dtype: torch.dtype, activation: int) -> tuple:
    operands = case.normal().to(dtype)
    extras.round_to(dtype)
    tail = (case.out_channels[0], case.size, case.stride, False)
    return (*operands, extras.scale, extras.shift, *extras.residuals, activation, *tail)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", [0, 1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("stride", [1, 2])
def test_is_the_formula(stride, dtype, activation, residual):
    case = Case((24, 16), (16, 40), size=(9, 7), stride=stride)
    extras = Extras(case, residual)
    call = arguments(case, extras, dtype, activation)
    y = torch.ops.octconv_cuda.forward(*call[:4], *call[9:])
    for part, exact in zip(infer(*call), extras.exact(y, activation), strict=True):
        assert part.dtype == dtype
        assert part.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(
            part, exact.to(dtype), rtol=2 * torch.finfo(dtype).eps, atol=1e-6
        )


@pytest.mark.parametrize("kernel", [1, 3])
def test_factors_may_begin_at_any_address(device, kernel):
    """A vector's view begins where it likes, and kernels read two numbers at once."""
    case = Case((24, 16), (16, 40), (kernel, kernel), size=(9, 7))
    extras = Extras(case, True)
    call = [
        t.to(device) if isinstance(t, Tensor) else t
        for t in arguments(case, extras, torch.bfloat16, 1)
    ]
    expected = infer(*call)
    for i in (3, 4, 5):
        call[i] = torch.cat([call[i].new_zeros(1), call[i]])[1:]
    for part, of_aligned in zip(infer(*call), expected, strict=True):
        assert torch.equal(part, of_aligned)


@pytest.mark.parametrize("mode", [PLAIN, ASAN])
@pytest.mark.parametrize("activation", [0, 1, 2])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("kernel", [1, 3])
def test_kernel_rounds_once(
    emulator_in: Callable[[str], Emulator], mode, kernel, residual, activation
):
    """In the emulation: as accurate as the operators that PyTorch would run, or more."""
    dtype = torch.bfloat16
    case = Case((24, 16), (16, 40), (kernel, kernel), size=(9, 7))
    extras = Extras(case, residual)
    call = arguments(case, extras, dtype, activation)
    joint = JointTiles("joint64"), JointTiles("joint32", quads=32)
    wide = (Tiles("wide", (4, 5, 1), (4, 5, 1)),)
    for tiles in (Tiles("small", (3, 4, 2), (3, 4, 2)), *(joint if kernel == 1 else wide)):
        result = run_forward(
            emulator_in(mode), case, tiles, call[:2], *call[2:4],
            extras=extras.arrays(activation),
        )  # fmt: skip
        operands = case.normal()._replace(
            **dict(zip(("x_high", "x_low", "weight", "bias"), call[:4], strict=True))
        )
        exact = extras.exact(case.exact(operands), activation)
        parts = zip(present(result), infer(*call), exact, strict=True)
        for part, of_torch, expected in parts:
            assert_accurate(part, of_torch, expected)
        assert result.counters["launches"] == 1


@pytest.mark.parametrize(
    ("position", "value", "text"),
    [
        (4, torch.ones(3), r"scale must be float32 \(56,\), got .* \(3,\)"),
        (5, torch.ones(56, dtype=torch.float64), "shift must be float32"),
        (6, torch.ones(2, 16, 3, 3), r"residual_high must be \(2, 16, 9, 7\) like the output"),
        (7, torch.ones(2, 40, 5, 4, dtype=torch.float64), "residual_low must be torch.float32"),
        (8, 3, "activation must be 0"),
    ],
)
def test_refuses(position, value, text):
    call = list(arguments(CASE, Extras(CASE, True), torch.float32, 0))
    call[position] = value
    with pytest.raises((ValueError, RuntimeError), match=text):
        infer(*call)


def test_traces():
    call = arguments(CASE, Extras(CASE, True), torch.float32, 1)
    torch.library.opcheck(infer.default, call)
    counter = torch.utils.flop_counter.FlopCounterMode(display=False)
    with counter:
        infer(*call)
    with torch.utils.flop_counter.FlopCounterMode(display=False) as forward:
        torch.ops.octconv_cuda.forward(*call[:4], *call[9:])
    assert counter.get_total_flops() == forward.get_total_flops() > 0
