"""What the numeric tests call the operator with: a case is a geometry, operands are its tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import oracle
import torch
from oracle import assert_equal_values
from torch import Tensor

from octconv_cuda import oct_conv2d, reference, split_channels

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


def split(c_in: int, alpha_in: float, c_out: int, alpha_out: float) -> tuple[Pair, Pair]:
    return split_channels(c_in, alpha_in), split_channels(c_out, alpha_out)


# Every value of every factor that the operators cover.
COVERED = (
    Case(*split(8, 0.5, 8, 0.5)),
    Case(*split(8, 0.5, 8, 0.5), stride=2),
    Case(*split(16, 0.125, 16, 0.75), (1, 1), size=(7, 9)),
    Case(*split(16, 0.25, 8, 0.125), (5, 5), size=(9, 6), bias=False),
    Case(*split(12, 0.75, 20, 0.25), (7, 7), stride=2, size=(10, 7)),
    Case(*split(3, 0.0, 10, 0.5), (7, 7), size=(11, 8), batch=1),
    Case(*split(6, 0.0, 6, 0.25), (3, 3), stride=2, size=(5, 5), bias=False),
    Case(*split(6, 0.0, 5, 0.0), (3, 3), stride=2, size=(7, 6)),
    Case(*split(10, 0.5, 7, 0.0), (3, 3), size=(5, 9)),
    Case(*split(10, 0.5, 7, 0.0), (1, 1), stride=2, size=(8, 5), batch=1),
    Case(*split(5, 1.0, 6, 0.5), (3, 3), size=(7, 5)),
    Case(*split(5, 1.0, 4, 0.0), (5, 5), size=(6, 5), bias=False),
    Case(*split(5, 1.0, 4, 0.5), (1, 1), stride=2, size=(7, 5)),
    Case(*split(4, 1.0, 4, 1.0), (3, 3), stride=2, size=(6, 9)),
    Case(*split(4, 0.5, 3, 1.0), (3, 3), size=(9, 7), bias=False),
    Case(*split(7, 0.25, 9, 0.75), (3, 5), size=(9, 11)),
    Case(*split(7, 0.75, 9, 0.125), (1, 3), stride=2, size=(11, 5)),
    Case(*split(8, 0.5, 8, 0.5), (5, 1), size=(1, 6)),
    Case(*split(8, 0.5, 8, 0.5), (3, 3), size=(1, 1)),
    Case(*split(8, 0.5, 8, 0.5), (5, 5), stride=2, size=(1, 1), batch=1),
    Case(*split(8, 0.5, 8, 0.5), (3, 3), size=(2, 3)),
    Case(*split(2, 0.5, 2, 0.5), (3, 3), stride=2, size=(3, 4)),
    Case((1, 31), (33, 1), (3, 3), size=(5, 4)),
    Case((17, 1), (1, 18), (1, 1), size=(4, 5)),
    Case(*split(8, 0.5, 8, 0.5), size=(5, 7), batch=0),
    Case(*split(8, 0.25, 8, 0.75), stride=2, size=(5, 7), batch=0),
)

# Enough values for the statistics of their rounding errors.
LARGER = (
    Case(*split(16, 0.5, 16, 0.5), size=(14, 15), batch=4),
    Case(*split(16, 0.25, 16, 0.5), (5, 5), size=(13, 12), batch=4, bias=False),
    Case(*split(16, 0.25, 16, 0.5), stride=2, size=(27, 25)),
    Case(*split(3, 0.0, 16, 0.5), (7, 7), size=(17, 16)),
    Case(*split(18, 0.5, 16, 0.0), size=(13, 15)),
    Case(*split(16, 1.0, 16, 0.5), size=(15, 13)),
    Case(*split(16, 0.5, 16, 1.0), size=(15, 14)),
    Case(*split(32, 0.75, 32, 0.5), (1, 1), stride=2, size=(21, 23)),
)

# What PyTorch's own operators serve.
UNCOVERED = (
    Case(*split(6, 0.0, 4, 0.0), (3, 3), size=(6, 7)),
    Case(*split(4, 1.0, 6, 1.0), (3, 3), size=(7, 6)),
    Case(*split(8, 0.5, 8, 0.5), size=(7, 9), groups=2),
    Case(*split(12, 0.25, 24, 0.5), (1, 3), stride=2, size=(9, 7), groups=3, bias=False),
    Case((4, 0), (2, 4), groups=2, size=(5, 6)),
    Case((0, 6), (3, 3), groups=3, size=(5, 5)),
    Case(*split(8, 0.25, 8, 0.25), size=(7, 5), groups=8),
    Case(*split(4, 0.5, 8, 0.5), (5, 5), stride=2, size=(9, 7), groups=4, bias=False),
    Case((6, 0), (12, 0), groups=6, size=(5, 8)),
    Case((0, 3), (0, 3), stride=2, groups=3, size=(5, 7)),
    Case(*split(6, 0.5, 8, 0.25), size=(9, 8), dilation=(2, 2)),
    Case(*split(6, 0.5, 8, 0.25), (3, 5), stride=2, size=(11, 10), dilation=(3, 1)),
    *(
        Case(*split(6, 0.5, 4, 0.5), (3, 5), stride, (11, 9), padding_mode=mode)
        for mode in ("reflect", "replicate", "circular")
        for stride in (1, 2)
    ),
    Case(*split(6, 0.0, 4, 0.5), (5, 3), size=(9, 13), dilation=(1, 2), padding_mode="reflect"),
    Case(*split(8, 0.5, 8, 0.5), size=(9, 7), groups=8, dilation=(2, 1), padding_mode="circular"),
    Case(*split(4, 1.0, 4, 0.5), size=(7, 5), batch=1, groups=2, padding_mode="replicate"),
    Case(*split(8, 0.5, 8, 0.5), size=(7, 5), batch=0, groups=2, padding_mode="replicate"),
)
