"""The operator ``inference``: scale and shift, residual, activation; and its kernel."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import Case, check_equal, multiples_of
from emulated_forward import HopperJointTiles, JointTiles, Tiles, present, run_forward
from emulation.emulator import RUNS, Emulator
from emulators import ASAN, PLAIN
from epilogues import ACTIVATIONS, Extras
from kernel_checks import (
    EACH_DTYPE,
    Platform,
    check_inference,
    check_inference_of_integers,
    check_relu_keeps_nan,
    inference_call,
)
from oracle import assert_accurate
from torch import Tensor
from torch.autograd.profiler import profile

CASE = Case((24, 16), (16, 40), size=(9, 7))
infer = torch.ops.octconv_cuda.inference


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("stride", [1, 2])
def test_is_the_formula(stride, dtype, activation, residual):
    case = Case((24, 16), (16, 40), size=(9, 7), stride=stride)
    extras = Extras(case, residual)
    call = inference_call(case, extras, dtype, activation)
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
        for t in inference_call(case, extras, torch.bfloat16, 1)
    ]
    expected = infer(*call)
    for i in (3, 4, 5):
        call[i] = torch.cat([call[i].new_zeros(1), call[i]])[1:]
    for part, of_aligned in zip(infer(*call), expected, strict=True):
        assert torch.equal(part, of_aligned)


SMALL = Tiles("small", (3, 4, 2), (3, 4, 2))
TILES = {
    "3x3": ((24, 16), (16, 40), [SMALL, Tiles("wide", (4, 5, 1), (4, 5, 1))]),
    "1x1": ((24, 16), (16, 40), [SMALL, JointTiles("joint64"), JointTiles("joint32", quads=32)]),
    "1x1, sm90": (
        (72, 24),
        (136, 72),
        [
            HopperJointTiles(32, boxes=2, slots=1),
            HopperJointTiles(64, boxes=5, blocks=1),
            HopperJointTiles(64, groups=2, boxes=3, slots=2),
        ],
    ),
    "1x1, sm90, high in": ((72, 0), (8, 72), [HopperJointTiles(64, groups=2, blocks=1)]),
    "1x1, sm90, high out": ((8, 72), (72, 0), [HopperJointTiles(64)]),
    "1x1, sm90, splits": (
        (136, 72),
        (136, 72),
        [
            HopperJointTiles(32, boxes=5, slots=2, splits=8),
            HopperJointTiles(64, groups=2, boxes=12, slots=2, splits=2),
        ],
    ),
}


CUDA_CASES = (
    Case((72, 24), (136, 72), (1, 1), size=(29, 31), batch=5),
    Case((32, 32), (128, 128), (1, 1), size=(56, 56), batch=40),
    Case((512, 512), (128, 128), (1, 1), size=(14, 14), batch=9),
    Case((512, 512), (128, 128), (1, 1), size=(14, 14), batch=1),
    Case((64, 0), (24, 72), (1, 1), size=(9, 11), batch=3),
    Case((24, 72), (64, 0), (1, 1), size=(9, 11), batch=3),
    Case((64, 64), (128, 128), (1, 1), size=(28, 30), batch=4, stride=2),
    Case((64, 64), (64, 64), size=(28, 28), batch=3),
    Case((72, 40), (104, 88), size=(33, 47), batch=3),
    Case((256, 256), (256, 256), size=(28, 28), batch=1),
    Case((64, 64), (64, 64), size=(28, 30), batch=4, stride=2),
    Case((64, 0), (64, 64), size=(14, 14), batch=2),
    Case((64, 64), (64, 0), size=(14, 14), batch=2),
)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    ("family", "trial"),
    [("sm80", ""), ("", ""), pytest.param("", "1", marks=pytest.mark.trial)],
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", CUDA_CASES, ids=str)
def test_cuda_is_accurate(
    monkeypatch: pytest.MonkeyPatch, case: Case, dtype: torch.dtype, family: str, trial: str
) -> None:
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", trial)
    check_inference(case, Platform.of(torch.device("cuda")), dtype, family)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@EACH_DTYPE
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_cuda_rounds_integers_once(stride: int, kernel: int, dtype: torch.dtype) -> None:
    outs = (0, 72) if kernel == 5 else (72, 40)
    case = Case((40, 24), outs, (kernel, kernel), stride, (29, 14))
    check_inference_of_integers(case, Platform.of(torch.device("cuda")), dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kernel", [1, 3])
def test_cuda_relu_keeps_nan(kernel: int, dtype: torch.dtype) -> None:
    case = Case((40, 24), (72, 40), (kernel, kernel), size=(29, 14))
    check_relu_keeps_nan(case, Platform.of(torch.device("cuda")), dtype)


@pytest.mark.parametrize("mode", [PLAIN, ASAN])
@pytest.mark.parametrize("activation", range(len(ACTIVATIONS)))
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", TILES)
def test_kernel_rounds_once(
    emulator_in: Callable[[str], Emulator], mode, name, residual, activation
):
    """In the emulation: as accurate as the operators that PyTorch would run, or more."""
    dtype = torch.bfloat16
    ins, outs, all_tiles = TILES[name]
    kernel = int(name[0])
    case = Case(ins, outs, (kernel, kernel), size=(9, 7))
    extras = Extras(case, residual)
    call = inference_call(case, extras, dtype, activation)
    for tiles in all_tiles:
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
            if part is not None:
                assert_accurate(part, of_torch, expected)
        assert result.counters["launches"] == 1


def portable_tiles() -> list[Any]:
    """Kernel sizes, tiles and types; under a sanitizer, which has no float16, as float32."""
    small, wide = SMALL, Tiles("wide", (4, 5, 1), (4, 5, 1))
    joint = [JointTiles("joint64"), JointTiles("joint32", quads=32)]
    of_kernel = {1: [small, *joint], 3: [small, wide], 5: [small], 7: [small]}
    return [
        pytest.param(*mode.values, kernel, tiles, torch.float32, marks=mode.marks)
        for kernel, each in of_kernel.items()
        for tiles in each
        for mode in (PLAIN, ASAN)
    ] + [
        pytest.param(*PLAIN.values, kernel, tiles, dtype, marks=PLAIN.marks)
        for kernel, tiles in ((3, wide), (5, small), (7, small))
        for dtype in (torch.bfloat16, torch.float16)
    ]


@pytest.mark.parametrize(("mode", "kernel", "tiles", "dtype"), portable_tiles())
@pytest.mark.parametrize("residual", [False, True])
def test_kernel_is_exact_on_integers(
    emulator_in: Callable[[str], Emulator], mode, kernel, tiles, dtype, residual
):
    case = Case((24, 16), (16, 40), (kernel, kernel), size=(9, 7))
    operands = case.integers().to(dtype)
    extras = Extras.integers(case, residual, dtype)
    result = run_forward(
        emulator_in(mode), case, tiles, operands[:2], *operands[2:], extras=extras.arrays(1)
    )
    check_equal(present(result), extras.exact(case.exact(operands), 1))
    assert result.counters["launches"] == 1


@pytest.mark.parametrize("mode", [PLAIN])
@pytest.mark.parametrize("blocks", [1, 2])
def test_residuals_of_other_columns_pass_by_in_every_schedule(
    emulator_in: Callable[[str], Emulator], mode, blocks
):
    """Both groups of columns wait for the boxes of both, and read their own."""
    case = Case((64, 64), (128, 128), (1, 1), size=(24, 24), batch=2)
    tiles = HopperJointTiles(64, groups=2, boxes=7, slots=2, blocks=blocks)
    operands = case.integers().to(torch.bfloat16)
    extras = Extras(case, True, multiples_of(1))
    extras.round_to(torch.bfloat16)
    expected = extras.exact(case.exact(operands), 1)
    for run in RUNS:
        result = run_forward(
            emulator_in(mode), case, tiles, operands[:2], *operands[2:],
            extras=extras.arrays(1), run=run._replace(count=False),
        )  # fmt: skip
        check_equal(present(result), expected)


@pytest.mark.parametrize(
    ("position", "value", "text"),
    [
        (4, None, "scale must be a tensor, got NoneType"),
        (4, torch.ones(3), r"scale must be float32 \(56,\), got .* \(3,\)"),
        (5, torch.ones(56, dtype=torch.float64), "shift must be float32"),
        (4, torch.ones(56, device="meta"), "scale must be on cpu like the weight, got meta"),
        (6, torch.ones(2, 16, 3, 3), r"residual_high must be \(2, 16, 9, 7\) like the output"),
        (7, torch.ones(2, 40, 5, 4, dtype=torch.float64), "residual_low must have the dtype of"),
        (2, torch.ones(56, 3, 3, 3), "weight must be"),
        (8, len(ACTIVATIONS), "activation must be 0"),
    ],
)
def test_refuses_before_any_work(position, value, text):
    call = list(inference_call(CASE, Extras(CASE, True), torch.float32, 0))
    call[position] = value
    message = f"^octconv_cuda::inference: {text}"
    with profile() as ran, pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        infer(*call)
    names = {event.name for event in ran.function_events} - {"octconv_cuda::inference"}
    assert not any("conv" in name for name in names)


def test_what_kernels_leave_does_not_come_back_to_them(monkeypatch):
    """As it would by the operator forward, though the family none is asked for."""
    call = inference_call(CASE, Extras(CASE, True), torch.float32, 1)
    expected = infer(*call)
    monkeypatch.setattr(torch.ops.octconv_cuda, "forward", None)
    composed = torch.ops.octconv_cuda.composed_inference(*call)
    for part, of_kernel in zip(composed, expected, strict=True):
        torch.testing.assert_close(part, of_kernel, rtol=1e-4, atol=1e-4)


def test_traces():
    call = inference_call(CASE, Extras(CASE, True), torch.float32, 1)
    torch.library.opcheck(infer.default, call)
    counter = torch.utils.flop_counter.FlopCounterMode(display=False)
    with counter:
        infer(*call)
    with torch.utils.flop_counter.FlopCounterMode(display=False) as forward:
        torch.ops.octconv_cuda.forward(*call[:4], *call[9:])
    assert counter.get_total_flops() == forward.get_total_flops() > 0
