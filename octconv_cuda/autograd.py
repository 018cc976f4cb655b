"""Derivatives of any order: the layer is one trilinear form and its three derivatives.

T(x, W, dy) = <dy, conv(x, W)> is linear in each argument. Its derivatives are the operators:
forward F(x, W) by dy, input gradient D(dy, W) by x, weight gradient G(x, dy) by W. The backward of
each is the other two, so the three Functions close over themselves. The bias belongs to W: F adds
it, G returns its gradient beside that of W where it is asked for, D does not see it.

dW has the layout of W, or somebody would have to copy it into that. Which that is is asked in a
Function's forward: in its backward, Dynamo loses the symbolic sizes over it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .convolutions import is_channels_last
from .errors import run_native
from .problem import Pair, Parts, channels

__all__ = ["forward"]

_ops: Any = torch.ops.octconv_cuda
_is_batched = torch._C._functorch.is_legacy_batchedtensor
TensorPair = tuple[Tensor, Tensor]


def forward(x: Parts, weight: Tensor, bias: Tensor | None, high_out: int, *call: Any) -> TensorPair:
    """The operator ``forward``; ``call``: (size, stride, allow_tf32, family), here and below."""
    return _run(_Forward, _ops.forward, (*x, weight, bias), (high_out, *call))


def _input_grad(dy: TensorPair, weight: Tensor, high_in: int, *call: Any) -> TensorPair:
    return _run(_InputGrad, _ops.input_grad, (*dy, weight), (high_in, *call))


def _weight_grad(
    x: Parts, dy: TensorPair, kernel_size: Pair, channels_last: bool, bias: bool, *call: Any
) -> TensorPair:
    size, stride, allow_tf32, family = call
    rest = (size, kernel_size, stride, allow_tf32, channels_last, family, bias)
    return _run(_WeightGrad, _ops.weight_grad, (*x, *dy), rest)


def _run(
    function: Any,
    operator: Callable[..., TensorPair],
    operands: tuple[Tensor | None, ...],
    rest: tuple[Any, ...],
) -> TensorPair:
    """The operator alone where no graph is wanted: a Function costs several times its call.

    It takes ``rest``, what is no tensor, as one argument, for it looks into each.

    Raises:
        torch.OutOfMemoryError: As PyTorch's operators do.
        NotImplementedError: Tangents, which only a backward pass meets that was recorded without;
            a graph of several backward passes at once, which a Function would lose silently.
    """
    if torch.is_grad_enabled() and any(a.requires_grad for a in operands if a is not None):
        if not torch.compiler.is_compiling() and any(
            a is not None and _is_batched(a) for a in operands
        ):
            raise NotImplementedError(
                "octconv_cuda: several backward passes at once (is_grads_batched=True, or "
                "vectorize=True) must be without a graph of their own (create_graph=False), got "
                "some that record one; run them one by one, or under torch.func"
            )
        result: TensorPair = run_native(function.apply, *operands, rest)
        return result
    if forward_ad._current_level >= 0 and any(
        a is not None and _may_have_tangent(a) for a in operands
    ):
        raise NotImplementedError(
            "octconv_cuda: forward-mode derivatives go through a backward pass only where the "
            "layer was called within forward mode, got one that was called before"
        )
    parts: TensorPair = run_native(operator, *operands, *rest)
    return parts


def _may_have_tangent(tensor: Tensor) -> bool:
    """Whether it has one, or, inside a transform, may have one further out."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return True
    unpacked = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
    return unpacked.tangent is not None


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_high: Tensor | None,
        x_low: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        rest: tuple[Any, ...],
    ) -> Any:
        ctx.save_for_backward(x_high, x_low, weight)
        ctx.call, ctx.channels_last = rest[1:], is_channels_last(weight)
        return _ops.forward(x_high, x_low, weight, bias, *rest)

    @staticmethod
    def backward(ctx: Any, *dy: Any) -> Any:
        x_high, x_low, weight = ctx.saved_tensors
        needs_high, needs_low, needs_weight, needs_bias, _ = ctx.needs_input_grad
        dx: Parts = (None, None)
        dweight = dbias = None
        if needs_high or needs_low:
            high_in, _ = channels(x_high, x_low)
            dx = _of_parts((x_high, x_low), _input_grad(dy, weight, high_in, *ctx.call))
        if needs_weight:
            layout = (weight.shape[2:], ctx.channels_last)
            dweight, dbias = _weight_grad((x_high, x_low), dy, *layout, needs_bias, *ctx.call)
        elif needs_bias:  # beside a frozen weight
            dbias = torch.cat([part.sum((0, 2, 3)) for part in dy])
        return (*dx, dweight, dbias if needs_bias else None, None)


class _InputGrad(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, dy_high: Tensor, dy_low: Tensor, weight: Tensor, rest: tuple[Any, ...]
    ) -> Any:
        ctx.save_for_backward(dy_high, dy_low, weight)
        ctx.call, ctx.channels_last = rest[1:], is_channels_last(weight)
        return _ops.input_grad(dy_high, dy_low, weight, *rest)

    @staticmethod
    def backward(ctx: Any, *g: Any) -> Any:
        dy_high, dy_low, weight = ctx.saved_tensors
        ddy: Parts = (None, None)
        dweight = None
        if any(ctx.needs_input_grad[:2]):
            ddy = forward(g, weight, None, dy_high.shape[1], *ctx.call)
        if ctx.needs_input_grad[2]:
            layout = (weight.shape[2:], ctx.channels_last)
            dweight, _ = _weight_grad(g, (dy_high, dy_low), *layout, False, *ctx.call)
        return (*ddy, dweight, None)


class _WeightGrad(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_high: Tensor | None,
        x_low: Tensor | None,
        dy_high: Tensor,
        dy_low: Tensor,
        rest: tuple[Any, ...],
    ) -> Any:
        size, _, stride, allow_tf32, _, family, bias = rest
        ctx.save_for_backward(x_high, x_low, dy_high, dy_low)
        ctx.call, ctx.bias = (size, stride, allow_tf32, family), bias
        return _ops.weight_grad(x_high, x_low, dy_high, dy_low, *rest)

    @staticmethod
    def backward(ctx: Any, g_weight: Tensor, g_bias: Tensor) -> Any:
        x_high, x_low, dy_high, dy_low = ctx.saved_tensors
        dx: Parts = (None, None)
        ddy: Parts = (None, None)
        if any(ctx.needs_input_grad[:2]):
            high_in, _ = channels(x_high, x_low)
            grads = _input_grad((dy_high, dy_low), g_weight, high_in, *ctx.call)
            dx = _of_parts((x_high, x_low), grads)
        if any(ctx.needs_input_grad[2:4]):
            bias = g_bias if ctx.bias else None
            ddy = forward((x_high, x_low), g_weight, bias, dy_high.shape[1], *ctx.call)
        return (*dx, *ddy, None)


def _of_parts(parts: Parts, grads: TensorPair) -> Parts:
    """The gradients of the parts that are there; the operators give one without channels else."""
    return (
        None if parts[0] is None else grads[0],
        None if parts[1] is None else grads[1],
    )
