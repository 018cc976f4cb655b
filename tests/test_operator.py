"""The values of the public function and of the operator under it, on every path and dtype."""

import pytest
import torch
from cases import DTYPES, Case, check_equal
from geometries import COVERED, LARGER, UNCOVERED, covered_cases, split, uncovered_cases
from hypothesis import given
from oracle import assert_accurate
from torch import Tensor

from octconv_cuda import OctaveMaps, explain, oct_conv2d

STRIDES = pytest.mark.parametrize("stride", [1, 2])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", COVERED + UNCOVERED, ids=str)
def test_integers_are_exact(case: Case, dtype: torch.dtype, device: torch.device) -> None:
    operands = case.integers().to(device, dtype)
    check_equal(case.call(operands), case.exact(operands))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", LARGER, ids=str)
def test_accuracy(case: Case, dtype: torch.dtype, device: torch.device) -> None:
    operands = case.normal().to(device, dtype)
    torch_results = case.reference(operands.channels_last())
    results = zip(case.call(operands), torch_results, case.exact(operands), strict=True)
    for result, composed, exact in results:
        if result is not None:
            assert_accurate(result, composed, exact)


@given(case=covered_cases())
def test_any_geometry(case: Case, device: torch.device) -> None:
    operands = case.integers().to(device)
    check_equal(case.call(operands), case.exact(operands))


@given(case=uncovered_cases())
def test_any_groups_dilation_and_padding(case: Case, device: torch.device) -> None:
    operands = case.integers().to(device)
    check_equal(case.call(operands), case.exact(operands))


@pytest.mark.parametrize("stride", [1, 2])
def test_integers_are_exact_on_several_threads(stride: int) -> None:
    """Maps that are large enough to be shared out, in uneven portions."""
    case = Case(*split(16, 0.5, 16, 0.5), stride=stride, size=(93, 95))
    operands = case.integers()
    torch.set_num_threads(3)
    check_equal(case.call(operands), case.exact(operands))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_larger_float32_convolutions_are_those_of_onednn(stride: int, kernel: int) -> None:
    case = Case((40, 24), (48, 40), (kernel, kernel), stride, (57, 50))
    operands = case.integers()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        y = case.call(operands)
    check_equal(y, case.exact(operands))
    assert "aten::mkldnn_convolution" in {event.key for event in profile.key_averages()}


@pytest.mark.parametrize("size", [(7, 6), (6, 7), (7, 7), (1, 1), (1, 4)], ids=str)
@STRIDES
def test_low_input_with_a_given_size(
    size: tuple[int, int], stride: int, device: torch.device
) -> None:
    case = Case((0, 5), (3, 4), stride=stride, size=size)
    operands = case.integers().to(device)
    check_equal(case.call(operands), case.exact(operands))


def test_low_input_without_size_has_an_even_high_grid(device: torch.device) -> None:
    case = Case((0, 5), (3, 4), size=(8, 6))
    operands = case.integers().to(device)
    maps = OctaveMaps(None, operands.x_low)
    result = oct_conv2d(maps, operands.weight, operands.bias, out_channels=(3, 4))
    check_equal(result, case.exact(operands))


def test_a_part_without_channels_counts_as_none(device: torch.device) -> None:
    case = Case((4, 0), (3, 2), size=(5, 6))
    x, _, weight, bias = operands = case.integers().to(device)
    for low in (None, x.new_empty(2, 0, 3, 3)):
        check_equal(oct_conv2d((x, low), weight, bias, out_channels=(3, 2)), case.exact(operands))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_alpha_0_is_the_vanilla_convolution(dtype: torch.dtype, device: torch.device) -> None:
    case = Case((6, 0), (4, 0), (3, 5), size=(7, 9))
    x, _, weight, bias = case.normal().to(device, dtype)
    vanilla = torch.nn.functional.conv2d(x, weight, bias, padding=(1, 2))
    result = oct_conv2d(x, weight, bias, out_channels=(4, 0))
    assert isinstance(result, Tensor)
    assert torch.equal(result, vanilla)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("case", [c for c in COVERED if c.batch], ids=str)
def test_infinities_and_nans_reach_what_they_should(
    case: Case, value: float, device: torch.device
) -> None:
    """A zero that stands for a missing pixel must not be multiplied by one of them."""
    operands = case.normal().to(device)
    for part in (operands.x_high, operands.x_low):
        if part is not None:
            part[0, 0, -1, -1] = value
    for result, expected in zip(case.call(operands), case.reference(operands), strict=True):
        if result is not None:
            assert torch.equal(result.isfinite(), expected.isfinite())


def explained_path(case: Case, device: torch.device) -> str:
    x_high, x_low, weight, bias = case.normal().to(device)
    return explain(
        (x_high, x_low), weight, bias, out_channels=case.out_channels, stride=case.stride,
        dilation=case.dilation, groups=case.groups, padding_mode=case.padding_mode, size=case.size,
    ).path  # fmt: skip


@pytest.mark.parametrize("case", COVERED, ids=str)
def test_the_operators_cover(case: Case, device: torch.device) -> None:
    assert explained_path(case, device) == "operator"


@pytest.mark.parametrize("case", UNCOVERED, ids=str)
def test_composition_serves_the_rest(case: Case, device: torch.device) -> None:
    assert explained_path(case, device) == "composition"
