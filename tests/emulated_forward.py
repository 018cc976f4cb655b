"""The fused kernels in the emulation: calls them for a case, as operator and as input gradient."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from cases import Case, Parts, check_equal, half, multiples_of
from derivatives import gradients
from emulation.emulator import RUNS, Emulator, Run
from oracle import assert_accurate
from torch import Tensor

from benchmarks.accuracy import rounded_to_tf32

Shape = tuple[int, int, int]
FIRST_ON_TRIAL = 3  # of kSm90Geometries in csrc/traits/forward_sm90.h, and all behind it


class Tiles(NamedTuple):
    """How a launch is cut up: by name, (width, height, splits) of high and low tiles, blocks.

    ``weight_stages``: rows of taps in shared memory at a time.
    """

    name: str
    high: Shape
    low: Shape
    blocks: int = 3
    weight_stages: int = 2

    kernel = "forward_sm80"

    @property
    def shape(self) -> tuple[Shape, Shape, int]:
        return self.high, self.low, self.weight_stages


class JointTiles(NamedTuple):
    """The same of the kernel for 1x1: quads of a tile, stages of shared memory."""

    name: str = "joint64"
    quads: int = 128
    stages: int = 3
    blocks: int = 3

    kernel = "forward_1x1_sm80"

    @property
    def shape(self) -> tuple[int, int]:
        return self.quads, self.stages


class HopperTiles(NamedTuple):
    """The same of the kernel for Hopper: its geometry, columns of high and of low tiles.

    ``blocks``: all, those for low tiles, and how many high tiles these take behind them at most;
    clusters of ``splits`` take a tile each instead.
    """

    geometry: int
    columns: tuple[int, int]
    blocks: tuple[int, ...] = (3, 1)
    splits: int = 1

    kernel = "forward_sm90"
    name = ""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.geometry, *self.columns, self.splits

    @property
    def types(self) -> tuple[torch.dtype, ...]:
        """What there are kernels for: of those on trial there is one type."""
        on_trial = self.geometry >= FIRST_ON_TRIAL or self.columns[1] < self.columns[0]
        return (torch.bfloat16,) if on_trial else (torch.bfloat16, torch.float16)


class HopperJointTiles(NamedTuple):
    """The same of the kernel for 1x1 on Hopper: columns, and how many groups of them, buffers.

    ``slots``: of the weight, 0 for one that stays; ``blocks``: for each range of columns; clusters
    of ``splits`` take an item each instead, and those of ``sharers`` boxes beside each other.
    ``quads``: of a box, at most.
    """

    columns: int = 64
    groups: int = 1
    boxes: int = 3
    slots: int = 0
    blocks: int = 2
    splits: int = 1
    sharers: int = 1
    quads: int = 64

    kernel = "forward_1x1_sm90"
    name = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return *self[:4], self.splits, self.sharers, self.quads

    @property
    def types(self) -> tuple[torch.dtype, ...]:
        return torch.bfloat16, torch.float16


AnyTiles = Tiles | JointTiles | HopperTiles | HopperJointTiles


class Result(NamedTuple):
    high: Tensor
    low: Tensor
    counters: dict[str, int]


def memory_of(x: Tensor) -> np.ndarray:
    """The elements as they lie in channels_last; 16-bit ones as patterns."""
    x = x.permute(0, 2, 3, 1).contiguous() if x.dim() == 4 else x
    return (x if x.dtype == torch.float32 else x.view(torch.int16)).numpy()


def run_forward(
    emulator: Emulator,
    case: Case,
    tiles: AnyTiles,
    inputs: Parts,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    input_grad: bool = False,
    extras: dict[str, Any] | None = None,
    run: Run | None = None,
) -> Result:
    """(y_high, y_low) of (x_high, x_low), or (dx_high, dx_low) of (dy_high, dy_low).

    ``extras`` are those of inference: scale, shift, residual_high, residual_low, activation.
    """
    dtype = weight.dtype
    numbers = (
        case.batch, *case.size, *case.in_channels, *case.out_channels, case.kernel_size[0],
        case.stride, int(input_grad),
    )  # fmt: skip
    names = zip(("in_high", "in_low"), inputs, strict=True)
    arrays: dict[str, Any] = {
        name: memory_of(torch.empty(0, dtype=dtype) if part is None else part)
        for name, part in names
    }
    arrays["weight"] = memory_of(weight)
    arrays |= extras or {}
    if bias is not None:
        arrays["bias"] = memory_of(bias)
    arguments = (str(dtype).removeprefix("torch."), tiles.name, numbers, tiles.shape)
    high, low, counters = emulator(tiles.kernel, *arguments, arrays, tiles.blocks, run=run)
    assert counters["cold_maps"] == 0
    size = case.size if input_grad else case.out_size
    channels = case.in_channels if input_grad else case.out_channels
    parts = (
        torch.from_numpy(memory).view(dtype).view(case.batch, *extent, c).permute(0, 3, 1, 2)
        for memory, extent, c in ((high, size, channels[0]), (low, half(size), channels[1]))
    )
    return Result(*parts, counters)


def present(result: Result) -> Parts:
    """The parts that have channels."""
    high, low = (part if part.shape[1] else None for part in result[:2])
    return high, low


def exact_input_grad(case: Case, weight: Tensor, dy: tuple[Tensor, Tensor]) -> Parts:
    """Those of ``reference_input_grad`` in float64."""
    return reference_input_grad(case, weight.double(), dy)


def reference_input_grad(case: Case, weight: Tensor, dy: tuple[Tensor, Tensor]) -> Parts:
    """The gradients of the composition of PyTorch's operators, in the weight's dtype."""
    zeros = case.operands(torch.zeros, torch.zeros, torch.zeros).to(weight.dtype)
    x = zeros._replace(weight=None, bias=None)
    grads = iter(gradients(lambda x: case.reference(x._replace(weight=weight)), x, dy))
    high, low = (None if part is None else next(grads) for part in x[:2])
    return high, low


def check_forward(emulator: Emulator, case: Case, tiles: AnyTiles, dtype: torch.dtype) -> Result:
    """Raises unless the results for integers are exact, out of one launch."""
    operands = case.integers().to(dtype)
    result = run_forward(emulator, case, tiles, operands[:2], *operands[2:])
    check_equal(present(result), case.exact(operands))
    assert result.counters["launches"] == 1
    assert result.counters["translated"] == (emulator.mode == "ptx")
    return result


def check_input_grad(emulator: Emulator, case: Case, tiles: AnyTiles, dtype: torch.dtype) -> Result:
    """The same of the input gradient."""
    *dy, weight = input_grad_operands(case)
    inputs = tuple(g.to(dtype) for g in dy)
    result = run_forward(emulator, case, tiles, inputs, weight.to(dtype), input_grad=True)
    check_equal(present(result), exact_input_grad(case, weight, dy))
    assert result.counters["launches"] == 1
    return result


def input_grad_operands(case: Case) -> list[Tensor]:
    """dy and a weight of which all sums are exact, also in bfloat16."""
    taps = sum(case.out_channels) * case.kernel_size[0] ** 2
    weight = multiples_of(1, share=min(1, 24 / taps))(
        sum(case.out_channels), sum(case.in_channels), *case.kernel_size
    )
    return [*(4**case.stride * g for g in case.integer_gradients()), weight]


def check_same_bits(results: Sequence[tuple[Any, ...]]) -> None:
    """Raises unless the first two tensors of each, which are finite, have the first one's bits."""
    for result in results:
        for part, first in zip(result[:2], results[0][:2], strict=True):
            assert torch.equal(part, first)
            assert part.isfinite().all()


def check_schedules(
    emulator: Emulator,
    case: Case,
    tiles: AnyTiles,
    input_grad: bool,
) -> None:
    """Raises unless every schedule gives the same bits; sanitizers, being slow, see two of them."""
    operands = case.normal().to(torch.bfloat16)
    inputs, bias = operands[:2], operands.bias
    if input_grad:
        inputs, bias = tuple(g.to(torch.bfloat16) for g in case.normal_gradients()), None
    results = [
        run_forward(
            emulator, case, tiles, inputs, operands.weight, bias,
            input_grad=input_grad, run=run._replace(count=False),
        )
        for run in (RUNS if emulator.mode == "plain" else RUNS[::3])
    ]  # fmt: skip
    check_same_bits(results)


def check_as_accurate_as_torch(
    emulator: Emulator,
    case: Case,
    tiles: AnyTiles,
    dtype: torch.dtype,
    *,
    input_grad: bool = False,
) -> None:
    """Raises unless the results come as near to float64 as those of PyTorch's operators."""
    operands = case.normal().to(dtype)
    # Without a GPU, "torch in tf32" is float32 on operands rounded to the nearest tf32.
    rounded = rounded_to_tf32 if dtype == torch.float32 else (lambda t: t)
    if input_grad:
        dy = tuple(g.to(dtype) for g in case.normal_gradients())
        weight = operands.weight
        result = run_forward(emulator, case, tiles, dy, weight, input_grad=True)
        of_torch = reference_input_grad(case, rounded(weight), tuple(map(rounded, dy)))
        exact = exact_input_grad(case, weight, dy)
    else:
        result = run_forward(emulator, case, tiles, operands[:2], *operands[2:])
        same = operands.channels_last()
        inputs = (None if t is None else rounded(t) for t in same[:3])
        of_torch = case.reference(type(same)(*inputs, same.bias))
        exact = case.exact(operands)
    for part, same_dtype, float64 in zip(present(result), of_torch, exact, strict=True):
        if part is not None:
            assert_accurate(part, same_dtype, float64)
