"""Whether a contender computes the right thing: checked before it is timed.

What the very call that will be timed returns, at its full shape, is compared with float64: the
error may be at most twice that of the plain operators (``F.conv2d``, ``octconv_cuda.reference``) in
the same dtype and layout, plus two roundings of the result. The two parts of a map count as one.
Two choices of PyTorch's must not decide, and the larger error counts. Where float32 may be rounded
to tf32, cuDNN does not always do so: the plain operators run on rounded operands, too. On a CPU
float32 goes to BLAS or to oneDNN, by threads and sizes: they run with oneDNN's convolution, too.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from octconv_cuda import reference

from .contenders import Contender, bind

__all__ = [
    "Expectation",
    "WrongResultError",
    "allowed_error",
    "check",
    "expect",
    "rounded_to_tf32",
]


class WrongResultError(Exception):
    """A contender's result is further from float64 than the rule allows, or of another shape."""


class Expectation(NamedTuple):
    """One tensor of the result: its float64 value and the largest error that is allowed."""

    name: str
    value: Tensor
    allowed: float


def expect(
    inputs: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor | None,
    output_gradients: Sequence[Tensor],
    mode: str,
) -> list[Expectation]:
    """What ``bind(...)`` must return in this mode, for one input (vanilla) or two (octave)."""

    def results(operand: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        parameters = tuple(operand(t) for t in (weight, bias) if t is not None)
        gradients = [operand(t) for t in output_gradients]
        run = _plain_run(gradients[0].shape[1], *parameters)
        contender = Contender(run, parameters, lambda *g: g, lambda *_: "plain")
        call = bind(contender, [operand(t) for t in inputs], gradients, mode)
        return tuple(t.detach() for t in call())

    searching = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False  # for float64 the search would outlast all else
    try:
        exact = results(Tensor.double)
    finally:
        torch.backends.cudnn.benchmark = searching
    # With the search, if it is on: of a shape and dtype PyTorch keeps the first algorithm that it
    # met, searched for or not, and so for the contenders, too.
    plain = [results(lambda t: t)]
    if weight.dtype == torch.float32 and torch.backends.cudnn.conv.fp32_precision == "tf32":
        plain.append(results(rounded_to_tf32))
    if weight.dtype == torch.float32 and weight.device.type == "cpu":
        with _OneDnnConvolutions():
            plain.append(results(lambda t: t))
    names = _names(len(inputs), mode, bias is not None)
    allowed: dict[str, float] = {}
    for name, value, *same_dtype in zip(names, exact, *plain, strict=True):
        errors = (allowed_error(value, tensor) for tensor in same_dtype)
        allowed[_kind(name)] = max(*errors, allowed.get(_kind(name), 0))
    return [
        Expectation(name, value, allowed[_kind(name)])
        for name, value in zip(names, exact, strict=True)
    ]


class _OneDnnConvolutions(TorchFunctionMode):
    """Convolutions of the composed layer are oneDNN's, where PyTorch has it."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        here = torch.backends.mkldnn.is_available() and function is F.conv2d and len(args) == 7
        if not here:
            return function(*args, **(kwargs or {}))
        x, weight, bias, stride, padding, dilation, groups = args
        pair = (stride, stride)
        return torch.mkldnn_convolution(x, weight, bias, padding, pair, dilation, groups)


def rounded_to_tf32(x: Tensor) -> Tensor:
    """To the nearest of 10 mantissa bits, ties away from 0, as ``cvt.rna.tf32``."""
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def check(result: Sequence[Tensor], expected: Sequence[Expectation]) -> None:
    """Raises WrongResultError at the first tensor of the result that breaks the rule."""
    if len(result) != len(expected):
        raise WrongResultError(f"expected {len(expected)} tensors, got {len(result)}")
    for tensor, (name, value, allowed) in zip(result, expected, strict=True):
        if tensor.shape != value.shape:
            raise WrongResultError(
                f"{name} must be {tuple(value.shape)}, got {tuple(tensor.shape)}"
            )
        error = _distance(tensor, value)
        if not error <= allowed:  # a NaN is wrong too
            raise WrongResultError(
                f"{name} may differ from float64 by {allowed:.3g} at most, got {error:.3g}"
            )


def _plain_run(
    high_out: int, weight: Tensor, bias: Tensor | None = None
) -> Callable[..., tuple[Tensor, ...]]:
    def run(*maps: Tensor) -> tuple[Tensor, ...]:
        if len(maps) == 1:
            return (F.conv2d(maps[0], weight, bias, padding="same"),)
        high, low = reference.oct_conv2d(maps[0], maps[1], weight, bias, high_out)
        assert high is not None
        assert low is not None
        return high, low

    return run


def _names(parts: int, mode: str, bias: bool) -> list[str]:
    labels = [""] if parts == 1 else ["_high", "_low"]
    outputs = [f"y{label}" for label in labels]
    inputs = [f"gradient of x{label}" for label in labels]
    parameters = ["gradient of weight"] + ["gradient of bias"] * bias
    return {
        "forward": outputs,
        "input_gradient": inputs,
        "weight_gradient": parameters,
        "forward_backward": outputs + inputs + parameters,
    }[mode]


def _kind(name: str) -> str:
    """The map that a part belongs to: its two parts share one limit."""
    return name.removesuffix("_high").removesuffix("_low")


def allowed_error(exact: Tensor, plain: Tensor) -> float:
    """Largest error by the rule, for the float64 value and the plain operators' result."""
    rounded = exact.to(plain.dtype)
    rounding = _distance((rounded + 0.3) - 0.3, rounded.double())
    return 2 * _distance(plain, exact) + 2 * rounding


def _distance(tensor: Tensor, exact: Tensor) -> float:
    return float((tensor.detach().double() - exact).abs().max())
