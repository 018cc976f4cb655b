"""Gradients of a case by autograd, for the tests that compare them."""

from collections.abc import Callable, Iterable, Sequence

import torch
from cases import Case, Operands, Parts
from oracle import assert_equal_values
from torch import Tensor


def present(tensors: Iterable[Tensor | None]) -> list[Tensor]:
    return [t for t in tensors if t is not None]


def gradients(
    function: Callable[[Operands], Parts], operands: Operands, dy: Sequence[Tensor]
) -> list[Tensor]:
    """Of <y, dy> by each operand that is there."""
    leaves = operands.leaves()
    outputs = function(leaves)
    incoming = [g.to(y.device, y.dtype) for g, y in zip(dy, outputs, strict=True) if y is not None]
    return list(torch.autograd.grad(present(outputs), present(leaves), incoming))


def exact_gradients(case: Case, operands: Operands, dy: Sequence[Tensor]) -> list[Tensor]:
    return gradients(case.reference, operands.to("cpu", torch.float64), dy)


def check_equal_gradients(results: list[Tensor], exact: list[Tensor]) -> None:
    for result, expected in zip(results, exact, strict=True):
        assert_equal_values(result, expected)
