"""The fused kernel in the emulation: calls it for a case, as operator and as input gradient."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from cases import Case, Parts, half
from emulation.emulator import Emulator, Run
from torch import Tensor

Shape = tuple[int, int, int]


class Tiles(NamedTuple):
    """How a launch is cut up: by name, (width, height, splits) of high and low tiles, blocks.

    ``weight_stages``: rows of taps in shared memory at a time.
    """

    name: str
    high: Shape
    low: Shape
    blocks: int = 3
    weight_stages: int = 2

    @property
    def shapes(self) -> tuple[Shape, Shape, int]:
        return self.high, self.low, self.weight_stages


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
    tiles: Tiles,
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
    arguments = (str(dtype).removeprefix("torch."), tiles.name, numbers, tiles.shapes)
    high, low, counters = emulator("forward_sm80", *arguments, arrays, tiles.blocks, run=run)
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
    """The gradients of the oracle's formulas by differentiation, in float64."""
    high, low = case.in_channels
    zeros = Case.operands(case, torch.zeros, torch.zeros, torch.zeros)
    x = [None if t is None else t.double().requires_grad_() for t in zeros[:2]]
    y = case.reference(zeros._replace(x_high=x[0], x_low=x[1], weight=weight.double(), bias=None))
    pairs = [(a, g.double()) for a, g in zip(y, dy, strict=True) if a is not None]
    total = sum((a * g).sum() for a, g in pairs)
    leaves = [t for t in x if t is not None]
    grads: Iterator[Tensor] = iter(torch.autograd.grad(total, leaves))
    return (next(grads) if high else None), (next(grads) if low else None)
