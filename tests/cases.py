"""What the numeric tests call the operator with: a case is a geometry, operands are its tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import oracle
import torch
from oracle import assert_equal_values
from torch import Tensor

from octconv_cuda import oct_conv2d, reference

Pair = tuple[int, int]
Draw = Callable[..., Tensor]
Parts = tuple[Tensor | None, Tensor | None]
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class Operands(NamedTuple):
    """The tensors of one call; a part without channels is None."""

    x_high: Tensor | None
    x_low: Tensor | None
    weight: Tensor
    bias: Tensor | None

    def to(self, *args: object) -> "Operands":
        return Operands(*(None if t is None else t.to(*args) for t in self))

    def channels_last(self) -> "Operands":
        return self._replace(
            **{
                name: t.contiguous(memory_format=torch.channels_last)
                for name, t in zip(self._fields, self, strict=True)
                if t is not None and t.dim() == 4
            }
        )

    def leaves(self, *args: object) -> "Operands":
        """Copies of which each requires a gradient."""
        copies = (None if t is None else t.detach().clone().to(*args) for t in self)
        return Operands(*(None if t is None else t.requires_grad_() for t in copies))


@dataclass(frozen=True)
class Case:
    """One geometry of the operator. ``size`` is (H, W) of the high input."""

    in_channels: Pair
    out_channels: Pair
    kernel_size: Pair = (3, 3)
    stride: int = 1
    size: Pair = (8, 8)
    batch: int = 2
    bias: bool = True
    dilation: Pair = (1, 1)
    groups: int = 1
    padding_mode: str = "zeros"

    @property
    def out_size(self) -> Pair:
        return self.size if self.stride == 1 else half(self.size)

    def operands(self, draw_high: Draw, draw_low: Draw, draw_weight: Draw) -> Operands:
        (high, low), c_out = self.in_channels, sum(self.out_channels)
        return Operands(
            draw_high(self.batch, high, *self.size) if high else None,
            draw_low(self.batch, low, *half(self.size)) if low else None,
            draw_weight(c_out, (high + low) // self.groups, *self.kernel_size),
            draw_weight(c_out) if self.bias else None,
        )

    def normal(self) -> Operands:
        return self.operands(torch.randn, torch.randn, torch.randn)

    def integers(self) -> Operands:
        """Small multiples of the powers of 4 that pooling divides by: every sum is exact.

        Weights have few non-zero values, so that bfloat16 holds the results too.
        """
        unit = 4**self.stride
        high_in, low_in = self.in_channels
        taps = (high_in + low_in) // self.groups * self.kernel_size[0] * self.kernel_size[1]
        return self.operands(
            multiples_of(unit), multiples_of(unit // 4), multiples_of(1, share=24 / taps)
        )

    def integer_gradients(self) -> tuple[Tensor, Tensor]:
        """The same for the gradients of the outputs."""
        unit = 4**self.stride
        (high, low), size = self.out_channels, self.out_size
        return (
            multiples_of(unit // 4)(self.batch, high, *size),
            multiples_of(unit)(self.batch, low, *half(size)),
        )

    def normal_gradients(self) -> tuple[Tensor, Tensor]:
        (high, low), size = self.out_channels, self.out_size
        return (
            torch.randn(self.batch, high, *size),
            torch.randn(self.batch, low, *half(size)),
        )

    def call(self, operands: Operands) -> Parts:
        """(y_high, y_low) of the public function."""
        x_high, x_low, weight, bias = operands
        result = oct_conv2d(
            x_high if x_low is None else (x_high, x_low), weight, bias,
            out_channels=self.out_channels, stride=self.stride, dilation=self.dilation,
            groups=self.groups, padding_mode=self.padding_mode, size=self.size,
        )  # fmt: skip
        return (result, None) if isinstance(result, Tensor) else tuple(result)

    def reference(self, operands: Operands) -> Parts:
        """(y_high, y_low) of the package's composition of PyTorch's operators."""
        return reference.oct_conv2d(
            *operands, self.out_channels[0], stride=self.stride, dilation=self.dilation,
            groups=self.groups, padding_mode=self.padding_mode, size=self.size,
        )  # fmt: skip

    def exact(self, operands: Operands) -> Parts:
        """(y_high, y_low) of the oracle, in float64."""
        x_high, x_low, weight, bias = (
            None if t is None else t.detach().cpu().double().numpy() for t in operands
        )
        absent = [np.zeros((self.batch, 0, *size)) for size in (self.size, half(self.size))]
        results = oracle.oct_conv2d(
            absent[0] if x_high is None else x_high,
            absent[1] if x_low is None else x_low,
            weight,
            np.zeros(sum(self.out_channels)) if bias is None else bias,
            self.out_channels[0], self.size, stride=self.stride, dilation=self.dilation,
            groups=self.groups, padding_mode=self.padding_mode,
        )  # fmt: skip
        high, low = (torch.from_numpy(y) if y.shape[1] else None for y in results)
        return high, low

    def __str__(self) -> str:
        """What differs from the default, for the names of tests."""
        words = [f"{self.in_channels}to{self.out_channels}", "x".join(map(str, self.kernel_size))]
        words += [f"{self.size[0]}x{self.size[1]}", f"stride{self.stride}", f"batch{self.batch}"]
        if not self.bias:
            words.append("nobias")
        if self.dilation != (1, 1):
            words.append(f"dilation{self.dilation}")
        if self.groups > 1:
            words.append(f"groups{self.groups}")
        if self.padding_mode != "zeros":
            words.append(self.padding_mode)
        return "-".join(words).replace(" ", "")


def half(size: Pair) -> Pair:
    return -(-size[0] // 2), -(-size[1] // 2)


def check_equal(results: Parts, exact: Parts) -> None:
    """Raises unless the same parts are there and all values are equal."""
    for result, expected in zip(results, exact, strict=True):
        assert (result is None) == (expected is None)
        if result is not None:
            assert_equal_values(result, expected)


def is_exactly_channels_last(x: Tensor) -> bool:
    """The strides of a new tensor in channels_last, also in dimensions of size 1."""
    return x.stride() == torch.empty(x.shape, memory_format=torch.channels_last).stride()


def multiples_of(unit: int, share: float = 1.0) -> Draw:
    """Draws -unit, 0 and unit; about ``share`` of the values are drawn, the others are 0."""

    def draw(*shape: int) -> Tensor:
        return unit * torch.randint(-1, 2, shape).float() * (torch.rand(shape) < share)

    return draw
