"""The raw operators, as the dispatcher and the compiler meet them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import DTYPES, Case, check_equal, half, is_exactly_channels_last
from geometries import COVERED, SMALL
from torch import Tensor

from octconv_cuda import convolutions

ops = torch.ops.octconv_cuda


def with_empty_parts(case: Case, x_high: Tensor | None, x_low: Tensor | None) -> tuple[Tensor, ...]:
    """Tensors without channels where a part is absent."""
    like = x_low if x_high is None else x_high
    sizes = (case.size, half(case.size))
    return tuple(
        like.new_empty(case.batch, 0, *size) if part is None else part
        for part, size in zip((x_high, x_low), sizes, strict=True)
    )


def check_pair(case: Case, high: Tensor, low: Tensor, channels: Any, size: Any) -> None:
    """A pair that an operator returned: absent parts have no channels, all is channels_last."""
    assert high.shape == (case.batch, channels[0], *size)
    assert low.shape == (case.batch, channels[1], *half(size))
    assert is_exactly_channels_last(high)
    assert is_exactly_channels_last(low)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", COVERED, ids=str)
@pytest.mark.parametrize(
    "forward", [ops.forward, convolutions.forward], ids=["served", "convolutions"]
)
def test_forward(
    forward: Callable[..., tuple[Tensor, Tensor]],
    case: Case,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """An absent part is None or has no channels on the way in, and has none on the way out.

    Where a native kernel serves, what it replaced is tested beside it.
    """
    operands = case.integers().to(device, dtype)
    *parts, weight, bias = operands
    call = (weight, bias, case.out_channels[0], case.size, case.stride, False)
    for inputs in (parts, with_empty_parts(case, *parts)):
        high, low = forward(*inputs, *call)
        check_pair(case, high, low, case.out_channels, case.out_size)
        results = tuple(y if y.shape[1] else None for y in (high, low))
        check_equal(results, case.exact(operands))


def operator_arguments(case: Case, device: torch.device) -> dict[str, tuple[Any, ...]]:
    x_high, x_low, weight, bias = case.integers().to(device)
    dy = tuple(g.to(device) for g in case.integer_gradients())
    call = (case.size, case.stride, False)
    return {
        "forward": (x_high, x_low, weight, bias, case.out_channels[0], *call),
        "input_grad": (*dy, weight, case.in_channels[0], *call),
        "weight_grad": (x_high, x_low, *dy, case.size, case.kernel_size, *call[1:]),
    }


@pytest.mark.parametrize("case", COVERED, ids=str)
def test_input_grad(case: Case, device: torch.device) -> None:
    """Its layout; its values are those of the public function's gradients."""
    dx_high, dx_low = ops.input_grad(*operator_arguments(case, device)["input_grad"])
    check_pair(case, dx_high, dx_low, case.in_channels, case.size)


@pytest.mark.parametrize("case", COVERED, ids=str)
def test_weight_grad(case: Case, device: torch.device) -> None:
    """The same, and an absent part may be None or have no channels."""
    x_high, x_low, *rest = operator_arguments(case, device)["weight_grad"]
    dw, dbias = ops.weight_grad(x_high, x_low, *rest)
    assert dw.shape == (sum(case.out_channels), sum(case.in_channels), *case.kernel_size)
    assert dw.is_contiguous()
    assert dbias.shape == (sum(case.out_channels),)
    same_dw, same_dbias = ops.weight_grad(*with_empty_parts(case, x_high, x_low), *rest)
    assert torch.equal(dw, same_dw)
    assert torch.equal(dbias, same_dbias)
    dw_channels_last, _ = ops.weight_grad(x_high, x_low, *rest, channels_last=True)
    assert torch.equal(dw, dw_channels_last)
    assert is_exactly_channels_last(dw_channels_last)
    dw_alone, no_dbias = ops.weight_grad(x_high, x_low, *rest, bias=False)
    assert torch.equal(dw, dw_alone)
    assert no_dbias.shape == (0,)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_weight_grad_in_float32(
    case: Case, channels_last: bool, dtype: torch.dtype, device: torch.device
) -> None:
    """Not rounded to the dtype of 16-bit maps."""
    arguments = operator_arguments(case, device)["weight_grad"]
    maps, rest = [None if x is None else x.to(dtype) for x in arguments[:4]], arguments[4:]
    exact = [None if part is None else part.double() for part in maps]
    flags = {"channels_last": channels_last, "float32": True}
    for wide, expected in zip(
        ops.weight_grad(*maps, *rest, **flags), ops.weight_grad(*exact, *rest), strict=True
    ):
        assert wide.dtype == (torch.float32 if dtype.itemsize == 2 else dtype)
        torch.testing.assert_close(wide.double(), expected, rtol=1e-4, atol=1e-4)
    if channels_last:
        assert is_exactly_channels_last(ops.weight_grad(*maps, *rest, **flags)[0])


@pytest.mark.parametrize("name", ["forward", "input_grad", "weight_grad"])
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_opcheck(case: Case, name: str, device: torch.device) -> None:
    torch.library.opcheck(getattr(ops, name), operator_arguments(case, device)[name])


def of_parameters(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same, of tensors that require gradients."""
    return tuple(a.detach().requires_grad_() if isinstance(a, Tensor) else a for a in arguments)


@pytest.mark.parametrize("name", ["forward", "input_grad", "weight_grad"])
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_autograd_does_not_see_into_operators(case: Case, name: str, device: torch.device) -> None:
    """Some of their convolutions would be a part of the derivatives alone; PyTorch warns."""
    arguments = of_parameters(operator_arguments(case, device)[name])
    total = sum(result.sum() for result in getattr(ops, name)(*arguments))
    leaves = [a for a in arguments if isinstance(a, Tensor)]
    with pytest.warns(UserWarning, match="an autograd kernel was not registered"):
        assert not any(g is not None for g in torch.autograd.grad(total, leaves, allow_unused=True))


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_opcheck_of_what_autograd_knows(case: Case, device: torch.device) -> None:
    *arguments, _ = of_parameters(operator_arguments(case, device)["forward"])
    torch.library.opcheck(ops.oct_conv2d, tuple(arguments))


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_opcheck_of_a_weight_gradient_in_channels_last(case: Case, device: torch.device) -> None:
    arguments = operator_arguments(case, device)["weight_grad"]
    torch.library.opcheck(ops.weight_grad, arguments, {"channels_last": True, "bias": False})


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_opcheck_of_a_weight_gradient_in_float32(case: Case, device: torch.device) -> None:
    arguments = operator_arguments(case, device)["weight_grad"]
    maps = [None if x is None else x.bfloat16() for x in arguments[:4]]
    torch.library.opcheck(ops.weight_grad, (*maps, *arguments[4:]), {"float32": True})
