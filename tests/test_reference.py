"""The package's reference against the oracle: integers, so that every value must be equal."""

from typing import Any

import oracle
import pytest
import torch
from cases import DTYPES, Case, Parts, check_equal
from dispatched import Dispatched
from geometries import COVERED, UNCOVERED
from oracle import assert_accurate, assert_equal_values

from octconv_cuda import reference


@pytest.mark.parametrize("case", COVERED + UNCOVERED, ids=str)
def test_equals_the_oracle(case: Case, device: torch.device) -> None:
    operands = case.integers().to(device, torch.float64)
    check_equal(case.reference(operands), case.exact(operands))


# Beyond 8192 pixels nearest upsampling by a size alone would err.
SIZES = [(4, 6), (5, 6), (4, 7), (5, 7), (1, 4), (3, 1), (1, 1), (16385, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_pool_and_up(size: tuple[int, int], device: torch.device) -> None:
    x = torch.randint(-8, 9, (2, 3, *size)).double()
    pooled = torch.from_numpy(oracle.pool(x.numpy()))
    assert_equal_values(reference.pool(x.to(device)), pooled)
    upsampled = torch.from_numpy(oracle.up(pooled.numpy(), size))
    assert_equal_values(reference.up(pooled.to(device), size), upsampled)


def test_up_is_cropped_and_pool_averages_what_is_inside() -> None:
    """A worked example, so that the oracle cannot be wrong in the same way."""
    x = torch.tensor([[1.0, 3.0, 5.0], [5.0, 7.0, 9.0], [2.0, 4.0, 8.0]])[None, None]
    pooled = torch.tensor([[4.0, 7.0], [3.0, 8.0]])[None, None]
    upsampled = torch.tensor([[4.0, 4.0, 7.0], [4.0, 4.0, 7.0], [3.0, 3.0, 8.0]])[None, None]
    assert torch.equal(reference.pool(x), pooled)
    assert torch.equal(torch.from_numpy(oracle.pool(x.numpy())), pooled.double())
    assert torch.equal(reference.up(pooled, (3, 3)), upsampled)
    assert torch.equal(torch.from_numpy(oracle.up(pooled.numpy(), (3, 3))), upsampled)


def worked_example(stride: int) -> Parts:
    """One channel in each part, k = 1, a 3 x 3 image: four different weights, two biases."""
    high = torch.tensor([[1.0, 3.0, 5.0], [5.0, 7.0, 9.0], [2.0, 4.0, 8.0]])[None, None]
    low = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    weight = torch.tensor([[1.0, 10.0], [100.0, 1000.0]])[:, :, None, None]
    bias = torch.tensor([0.5, 0.25])
    return reference.oct_conv2d(high, low, weight, bias, 1, stride=stride)


def test_worked_example() -> None:
    y_high, y_low = worked_example(stride=1)
    assert y_high is not None
    assert y_low is not None
    assert y_high.squeeze().tolist() == [
        [11.5, 13.5, 25.5],
        [15.5, 17.5, 29.5],
        [32.5, 34.5, 48.5],
    ]
    assert y_low.squeeze().tolist() == [[1400.25, 2700.25], [3300.25, 4800.25]]


def test_worked_example_at_stride_2() -> None:
    y_high, y_low = worked_example(stride=2)
    assert y_high is not None
    assert y_low is not None
    assert y_high.squeeze().tolist() == [[14.5, 27.5], [33.5, 48.5]]
    assert y_low.item() == 100 * 5.5 + 1000 * 2.5 + 0.25


@pytest.mark.parametrize(
    ("channels_in", "channels_out", "stride", "pools"),
    [
        ((6, 0), (4, 0), 1, 0), ((6, 2), (4, 0), 1, 0), ((6, 2), (4, 4), 1, 1),
        ((6, 0), (4, 0), 2, 1), ((6, 2), (4, 0), 2, 1), ((6, 2), (4, 4), 2, 3),
        ((0, 6), (4, 0), 2, 0), ((6, 0), (0, 4), 2, 2),
    ],
)  # fmt: skip
def test_pools_only_what_an_output_needs(
    channels_in: Any, channels_out: Any, stride: int, pools: int
) -> None:
    case = Case(channels_in, channels_out, size=(8, 6), stride=stride)
    with Dispatched() as mode:
        case.reference(case.normal())
    assert mode.names.count("avg_pool2d") == pools


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_vanilla_convolution_at_alpha_0(dtype: torch.dtype, device: torch.device) -> None:
    case = Case((6, 0), (4, 0), size=(7, 6))
    operands = case.normal().to(device, dtype)
    vanilla = torch.nn.functional.conv2d(operands.x_high, operands.weight, operands.bias, padding=1)
    y_high, y_low = case.reference(operands)
    assert y_low is None
    assert torch.equal(y_high, vanilla)


def test_high_size_of_a_low_input_is_twice_the_low_one_unless_given(device: torch.device) -> None:
    case = Case((0, 4), (3, 3), size=(6, 8))
    operands = case.integers().to(device, torch.float64)
    check_equal(reference.oct_conv2d(*operands, 3), case.exact(operands))


@pytest.mark.parametrize("size", [None, (6, 8)])
def test_no_part_at_all_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match="x_high and x_low must be given, got neither"):
        reference.oct_conv2d(None, None, torch.randn(4, 4, 1, 1), None, 4, size=size)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_the_accuracy_rule_rejects_wrong_results(factor: float) -> None:
    exact = torch.randn(100, dtype=torch.float64)
    torch_result = exact.float()
    assert_accurate(torch_result, torch_result, exact)
    with pytest.raises(AssertionError):
        assert_accurate(torch_result * factor, torch_result, exact)
    with pytest.raises(AssertionError):
        assert_accurate(torch_result.fill_(float("nan")), exact.float(), exact)
