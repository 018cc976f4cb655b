"""The fused weight gradient in the emulation: calls it for a case, and what it must give."""

from typing import Any, NamedTuple

import torch
from cases import Case, Operands, Parts, half, multiples_of
from derivatives import gradients
from emulated_forward import check_same_bits, memory_of
from emulation.emulator import RUNS, Emulator, Run
from oracle import assert_accurate, assert_equal_values
from torch import Tensor

Shape = tuple[int, int, int]
SHARED, HOPPER_SHARED = 166912, 232448  # bytes, of sm_80 and of sm_90


class GradTiles(NamedTuple):
    """How a launch is cut up: by name, (width, height, splits) for W_HH, W_LH, W_HL and W_LL.

    Of weight_grad_sm90: by the channels of a tile, (height, images, splits).
    """

    name: str
    shapes: tuple[Shape, Shape, Shape, Shape]


def tiles(name: str, *shapes: Shape) -> GradTiles:
    """For W_HH, W_LH, W_HL and W_LL, of which the last shape given stands for more."""
    return GradTiles(name, (*shapes, *(4 - len(shapes)) * [shapes[-1]]))


class Gradients(NamedTuple):
    dweight: Tensor
    dbias: Tensor
    counters: dict[str, int]


def run_weight_grad(
    emulator: Emulator,
    case: Case,
    tiles: GradTiles,
    x: Parts,
    dy: tuple[Tensor, Tensor],
    *,
    channels_last: bool = False,
    wide_output: bool = False,
    bias: bool = True,
    shared_limit: int = SHARED,
    kernel: str = "weight_grad_sm80",
    run: Run | None = None,
) -> Gradients:
    """dW and dbias of the inputs and the gradients of the outputs."""
    dtype = dy[0].dtype
    numbers = (
        case.batch, *case.size, *case.in_channels, *case.out_channels, case.kernel_size[0],
        case.stride,
    )  # fmt: skip
    arrays: dict[str, Any] = {
        name: memory_of(torch.empty(0, dtype=dtype) if part is None else part)
        for name, part in zip(("x_high", "x_low", "dy_high", "dy_low"), (*x, *dy), strict=True)
    }
    arguments = (str(dtype).removeprefix("torch."), tiles.name, numbers, tiles.shapes, arrays)
    flags = (channels_last, wide_output, bias, shared_limit)
    dweight, dbias, counters = emulator(kernel, *arguments, *flags, run=run)
    assert counters["cold_maps"] == 0
    rows, columns, k = sum(case.out_channels), sum(case.in_channels), case.kernel_size[0]
    shape = (rows, k, k, columns) if channels_last else (rows, columns, k, k)
    out = torch.float32 if wide_output else dtype
    weight = torch.from_numpy(dweight).view(out).view(shape)
    return Gradients(
        weight.permute(0, 3, 1, 2) if channels_last else weight,
        torch.from_numpy(dbias).view(out),
        counters,
    )


def moved(parts: Parts, dtype: torch.dtype) -> Parts:
    """The parts in a dtype."""
    return tuple(None if part is None else part.to(dtype) for part in parts)


def run_hopper_grad(
    emulator: Emulator,
    kernel: str,
    case: Case,
    tiles: GradTiles,
    operands: tuple[Parts, tuple[Tensor, Tensor]],
    dtype: torch.dtype = torch.bfloat16,
    run: Run | None = None,
    **flags: bool,
) -> Gradients:
    """The same by a kernel for Hopper, of operands moved to a dtype."""
    x, dy = (moved(parts, dtype) for parts in operands)
    return run_weight_grad(
        emulator, case, tiles, x, dy, shared_limit=HOPPER_SHARED, kernel=kernel, run=run, **flags
    )


def run_normal(emulator: Emulator, kernel: str, case: Case, tiles: GradTiles) -> Gradients:
    """The same of random operands."""
    operands = case.normal()[:2], case.normal_gradients()
    return run_hopper_grad(emulator, kernel, case, tiles, operands)


def check_exact(
    emulator: Emulator, kernel: str, case: Case, tiles: GradTiles, *, splits: bool
) -> None:
    """Of a kernel for Hopper, on integers; ``splits``: whether they are added up behind it.

    The emulation's plain mode has the time for the other type and layout, too.
    """
    operands = integer_operands(case)
    dtype = torch.float16 if emulator.mode == "plain" and case.batch == 3 else torch.bfloat16
    flags = {"channels_last": case.batch == 2}
    result = run_hopper_grad(emulator, kernel, case, tiles, operands, dtype, **flags)
    for gradient, exact in zip(result[:2], reference_gradients(case, *operands), strict=True):
        assert_equal_values(gradient, exact)
    assert result.counters["launches"] == 1 + splits


def check_schedules(emulator: Emulator, kernel: str, case: Case, tiles: GradTiles) -> None:
    """Of a kernel for Hopper: the same bits, however its threads take turns."""
    operands = case.normal()[:2], case.normal_gradients()
    runs = [run._replace(count=False) for run in (RUNS if emulator.mode == "plain" else RUNS[::3])]
    check_same_bits(
        [run_hopper_grad(emulator, kernel, case, tiles, operands, run=run) for run in runs]
    )


def check_float32_results(
    emulator: Emulator, kernel: str, case: Case, tiles: GradTiles, *, channels_last: bool
) -> None:
    """Of a kernel for Hopper: results that 16-bit types could not hold."""
    x, dy = integer_operands(case)
    dy = tuple(g + 32 * (g != 0) for g in dy)  # sums differ by much less than their size
    expected = reference_gradients(case, x, dy)
    flags = {"channels_last": channels_last, "wide_output": True}
    result = run_hopper_grad(emulator, kernel, case, tiles, (x, dy), **flags)
    for gradient, exact in zip(result[:2], expected, strict=True):
        assert gradient.dtype == torch.float32
        assert_equal_values(gradient, exact)


def check_as_accurate_as_torch(
    emulator: Emulator, kernel: str, case: Case, tiles: GradTiles, dtype: torch.dtype
) -> None:
    """Of a kernel for Hopper, on random operands."""
    x, dy = moved(case.normal()[:2], dtype), moved(case.normal_gradients(), dtype)
    result = run_hopper_grad(emulator, kernel, case, tiles, (x, dy), dtype)
    of_torch, exact = (reference_gradients(case, x, dy, t) for t in (dtype, torch.float64))
    for gradient, same, expected in zip(result[:2], of_torch, exact, strict=True):
        assert_accurate(gradient, same, expected)


def integer_operands(case: Case) -> tuple[Parts, tuple[Tensor, Tensor]]:
    """x and dy of which all sums are exact, also in bfloat16: few pixels of dy are not 0."""
    x_high, x_low, _, _ = case.integers()
    pixels = case.batch * case.out_size[0] * case.out_size[1]
    draw = multiples_of(1, share=min(1, 500 / pixels))
    high, low = case.out_channels
    dy = (draw(case.batch, high, *case.out_size), draw(case.batch, low, *half(case.out_size)))
    return (x_high, x_low), dy


def reference_gradients(
    case: Case, x: Parts, dy: tuple[Tensor, Tensor], dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """dW and dbias of PyTorch's own operators and differentiation, in a dtype."""
    weight = case.operands(torch.zeros, torch.zeros, torch.zeros).weight
    parameters = Operands(None, None, weight, torch.zeros(len(weight))).to(dtype)
    dweight, dbias = gradients(
        lambda p: case.reference(Operands(*moved(x, dtype), p.weight, p.bias)), parameters, dy
    )
    return dweight, dbias
