"""Derivatives of the public function against autograd through the reference in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import DTYPES, Case, Operands, Parts, multiples_of
from derivatives import check_equal_gradients, exact_gradients, gradients, present
from geometries import COVERED, LARGER, SMALL, UNCOVERED, covered_cases
from hypothesis import given
from oracle import assert_accurate
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck

SMALL_CASES = pytest.mark.parametrize("case", SMALL, ids=str)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", COVERED + UNCOVERED, ids=str)
def test_integers_are_exact(case: Case, dtype: torch.dtype, device: torch.device) -> None:
    operands, dy = case.integers().to(device, dtype), case.integer_gradients()
    check_equal_gradients(gradients(case.call, operands, dy), exact_gradients(case, operands, dy))


@given(case=covered_cases())
def test_any_geometry(case: Case, device: torch.device) -> None:
    operands, dy = case.integers().to(device), case.integer_gradients()
    check_equal_gradients(gradients(case.call, operands, dy), exact_gradients(case, operands, dy))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", LARGER, ids=str)
def test_accuracy(case: Case, dtype: torch.dtype, device: torch.device) -> None:
    operands = case.normal().to(device, dtype)
    dy = tuple(g.to(dtype) for g in case.normal_gradients())
    for result, torch_result, exact in zip(
        gradients(case.call, operands, dy),
        gradients(case.reference, operands.channels_last(), dy),
        exact_gradients(case, operands, dy),
        strict=True,
    ):
        assert_accurate(result, torch_result, exact)


def tuple_function(case: Case, operands: Operands) -> tuple[Any, tuple[Tensor, ...]]:
    """The public function of the operands that are there, as gradcheck takes it, and these."""
    names = [n for n, t in zip(operands._fields, operands, strict=True) if t is not None]

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        named = dict.fromkeys(operands._fields) | dict(zip(names, tensors, strict=True))
        return tuple(present(case.call(Operands(**named))))

    return function, tuple(present(operands))


@SMALL_CASES
def test_gradcheck(case: Case, device: torch.device) -> None:
    function, inputs = tuple_function(case, case.normal().leaves(device, torch.float64))
    assert gradcheck(function, inputs)


@SMALL_CASES
def test_gradgradcheck(case: Case, device: torch.device) -> None:
    function, inputs = tuple_function(case, case.normal().leaves(device, torch.float64))
    assert gradgradcheck(function, inputs)


def nested_gradients(
    function: Callable[[Operands], Parts], operands: Operands, order: int
) -> list[Tensor]:
    """The gradients of sum(y^3), those of a combination of these, and so on."""
    generator = torch.Generator().manual_seed(1)
    leaves = operands.leaves()
    value = sum(y.pow(3).sum() for y in present(function(leaves)))
    found: list[Tensor] = []
    for _ in range(order):
        grads = torch.autograd.grad(value, present(leaves), create_graph=True)
        factors = [torch.randint(-1, 2, g.shape, generator=generator).to(g) for g in grads]
        value = sum((g * factor).sum() for g, factor in zip(grads, factors, strict=True))
        found += grads
    return found


@SMALL_CASES
def test_third_derivatives(case: Case, device: torch.device) -> None:
    """Integers in float64 again: every order is exact."""
    operands = case.integers().to(device, torch.float64)
    result = nested_gradients(case.call, operands, order=3)
    assert any(third.any() for third in result[-2:])
    check_equal_gradients(result, nested_gradients(case.reference, operands.to("cpu"), order=3))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # PyTorch's own use
@SMALL_CASES
def test_forward_mode(case: Case, device: torch.device) -> None:
    operands = case.integers().to(device, torch.float64)
    with forward_ad.dual_level():
        dual = Operands(
            *(
                None if t is None else forward_ad.make_dual(t, multiples_of(4)(*t.shape).to(t))
                for t in operands
            )
        )
        for result, expected in zip(case.call(dual), case.reference(dual), strict=True):
            if result is not None:
                tangent = forward_ad.unpack_dual(result).tangent
                assert tangent is not None
                assert torch.equal(tangent, forward_ad.unpack_dual(expected).tangent)
