"""Any layout of the operands gives the same values; results are new tensors in channels_last."""

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch
from cases import Case, Operands, check_equal, is_exactly_channels_last
from geometries import COVERED, UNCOVERED, split
from torch import Tensor

Layout = Callable[[Tensor], Tensor]
STRIDES = pytest.mark.parametrize("stride", [1, 2])


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def channel_slice(x: Tensor) -> Tensor:
    """Channels 1 to C + 1 of a channels_last tensor with two more: pixels are not dense."""
    wide = x.new_full((x.shape[0], x.shape[1] + 2, *x.shape[2:]), float("nan"))
    view = channels_last(wide)[:, 1:-1]
    return view.copy_(x)


def window(x: Tensor) -> Tensor:
    """The middle of a bigger contiguous image, with NaN around it."""
    n, c, h, w = x.shape
    return x.new_full((n, c, h + 3, w + 5), float("nan"))[:, :, 1:-2, 2:-3].copy_(x)


def transposed(x: Tensor) -> Tensor:
    """Dense, but columns before rows."""
    return x.transpose(2, 3).contiguous().transpose(2, 3)


def every_second(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.new_full((2 * n, c, 2 * h, 2 * w), float("nan"))[::2, :, ::2, ::2].copy_(x)


LAYOUTS = (Tensor.contiguous, channels_last, channel_slice, window, transposed, every_second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@STRIDES
@pytest.mark.parametrize("name", ["x_high", "x_low", "weight"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_layouts(
    layout: Layout, name: str, stride: int, dtype: torch.dtype, device: torch.device
) -> None:
    case = Case(*split(8, 0.5, 6, 0.5), stride=stride, size=(7, 6))
    operands = case.integers().to(device, dtype)
    exact = case.exact(operands)
    for rest in (Tensor.contiguous, channels_last):
        laid_out = {n: rest(getattr(operands, n)) for n in ("x_high", "x_low", "weight")}
        laid_out[name] = layout(getattr(operands, name))
        check_equal(case.call(operands._replace(**laid_out)), exact)


@STRIDES
@pytest.mark.parametrize("size", [(7, 6), (32, 32)], ids=str)  # large maps go to other libraries
def test_strides_of_the_bias(stride: int, size: tuple[int, int], device: torch.device) -> None:
    case = Case((32, 32), (32, 32), stride=stride, size=size)
    operands = case.integers().to(device)
    for bias in (torch.ones(64, 2)[:, 0], torch.ones(1).expand(64), torch.ones(64)):
        moved = operands._replace(bias=bias.to(device))
        check_equal(case.call(moved), case.exact(moved))


@STRIDES
@pytest.mark.parametrize("dimension", [0, 1, 2, 3])
def test_expanded_operands(dimension: int, stride: int, device: torch.device) -> None:
    case = Case(*split(8, 0.5, 6, 0.5), stride=stride, size=(7, 6))
    x_high, x_low, weight, bias = case.integers().to(device)
    expanded = Operands(
        *(t.narrow(dimension, 0, 1).expand(t.shape) for t in (x_high, x_low, weight)),
        bias[:1].expand(bias.shape),
    )
    check_equal(case.call(expanded), case.exact(expanded))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("case", COVERED, ids=str)
def test_outputs_are_channels_last_and_new(
    case: Case, layout: Layout, device: torch.device
) -> None:
    operands = case.normal().to(device)
    operands = operands._replace(
        x_high=None if operands.x_high is None else layout(operands.x_high),
        x_low=None if operands.x_low is None else layout(operands.x_low),
    )
    results = [y for y in case.call(operands) if y is not None]
    assert all(is_exactly_channels_last(y) for y in results)
    check_separate_storage(results, operands)


def check_separate_storage(results: list[Tensor], operands: Sequence[Tensor | None]) -> None:
    given = [t for t in operands if t is not None]
    for result, other in itertools.product(results, given):
        assert result.untyped_storage()._cdata != other.untyped_storage()._cdata
    assert len({y.untyped_storage()._cdata for y in results}) == len(results)


@pytest.mark.parametrize("case", COVERED + UNCOVERED, ids=str)
def test_inputs_stay_as_they_are_and_results_repeat(case: Case, device: torch.device) -> None:
    operands = case.normal().to(device)
    before = operands.leaves()  # copies
    first, second = case.call(operands), case.call(operands)
    for mine, kept in zip(operands, before, strict=True):
        assert mine is None or torch.equal(mine, kept)
    for one, other in zip(first, second, strict=True):
        assert one is None or torch.equal(one, other)
    results = [y for y in (*first, *second) if y is not None]
    check_separate_storage(results, operands)
