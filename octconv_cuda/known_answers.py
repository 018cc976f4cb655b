"""A short check of each path of the library against answers that are known beforehand.

Inputs are small integers, so every sum is exact on every device, tf32 included; an answer is a
weighted sum of a result's elements, which tells positions apart.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .functional import explain, oct_conv2d

__all__ = ["CASES", "KnownAnswer", "check", "fingerprint", "inputs"]


class KnownAnswer(NamedTuple):
    """One call of ``oct_conv2d``, forward and backward, and the fingerprints of its results.

    Attributes:
        name: What is special about the call.
        shapes: Of x_high, x_low, weight.
        arguments: Keyword arguments of the call.
        answers: Of y_high, y_low, and of the gradients of x_high, x_low, weight and bias.
        dtype: In which it is computed; float16 is what most kernels for GPUs are for.
    """

    name: str
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    arguments: dict[str, Any]
    answers: tuple[float, ...]
    dtype: torch.dtype = torch.float32


CASES = (
    KnownAnswer(
        "odd size",
        ((2, 2, 5, 7), (2, 1, 3, 4), (4, 3, 3, 3)),
        {"out_channels": (2, 2)},
        (181.0, 425.75, -258.0, -6.0, -243.75, 8.0),
    ),
    KnownAnswer(
        "only high in",
        ((1, 16, 4, 3), (1, 0, 2, 2), (16, 16, 1, 1)),
        {"out_channels": (8, 8)},
        (-410.0, 115.75, -102.0, 0.0, 593.25, -11.0),
    ),
    KnownAnswer(
        "only low in",
        ((1, 0, 5, 3), (1, 3, 3, 2), (3, 3, 3, 1)),
        {"out_channels": (1, 2), "size": (5, 3)},
        (113.0, 30.0, 0.0, -270.0, 161.0, 22.0),
    ),
    KnownAnswer(
        "stride 2",
        ((2, 1, 6, 7), (2, 2, 3, 4), (4, 3, 3, 3)),
        {"out_channels": (3, 1), "stride": 2},
        (240.75, 56.8125, -192.75, 492.25, -341.25, 17.0),
    ),
    KnownAnswer(
        "groups, dilation",
        ((2, 2, 6, 5), (2, 2, 3, 3), (6, 2, 3, 3)),
        {"out_channels": (2, 4), "groups": 2, "dilation": 2},
        (753.0, 115.75, -127.25, 203.0, -36.0, -21.0),
    ),
    KnownAnswer(
        "depthwise",
        ((2, 2, 4, 5), (2, 1, 2, 3), (6, 1, 5, 5)),
        {"out_channels": (4, 2), "groups": 3},
        (892.0, -16.0, -394.0, -46.0, 530.0, -21.0),
    ),
    KnownAnswer(
        "3x3, float16",
        ((2, 40, 9, 12), (2, 16, 5, 6), (32, 56, 3, 3)),
        {"out_channels": (24, 8)},
        (-12747.0, -3090.75, 970.5, -3211.0, -2310.0, -3.0),
        torch.float16,
    ),
    KnownAnswer(
        "1x1, float16",
        ((2, 16, 7, 6), (2, 24, 4, 3), (40, 40, 1, 1)),
        {"out_channels": (16, 24)},
        (-1337.0, -515.25, -2095.0, 1464.0, 2873.75, -140.0),
        torch.float16,
    ),
)


def check(device: torch.device | str) -> list[tuple[str, str]]:
    """Runs every case on a device; gives its path and name, and what was wrong with it, if any.

    An exception is a wrong answer too: the other cases run all the same.
    """
    results = []
    for case in CASES:
        tensors = [t.to(device, case.dtype).requires_grad_() for t in inputs(case)]
        x_high, x_low, weight, bias = tensors
        path = "?"
        try:
            explanation = explain((x_high, x_low), weight, bias, **case.arguments)
            path = f"{explanation.path} ({explanation.kernel.partition(',')[0]})"
            found = _answers(case, tensors)
            wrong = "" if found == case.answers else f"expected {case.answers}, got {found}"
        except Exception as error:  # whatever it is, it is reported
            wrong = f"{type(error).__name__}: {error}"
        results.append((f"{path}, {case.name}", wrong))
    return results


def _answers(case: KnownAnswer, tensors: list[Tensor]) -> tuple[float, ...]:
    x_high, x_low, weight, bias = tensors
    y = oct_conv2d((x_high, x_low), weight, bias, **case.arguments)
    outputs = [part for part in y if part is not None]
    dy = [_pattern(part.shape, 3 + i).to(part) for i, part in enumerate(outputs)]
    grads = torch.autograd.grad(outputs, tensors, dy, materialize_grads=True)
    return tuple(fingerprint(t) for t in (*outputs, *grads))


def inputs(case: KnownAnswer) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x_high, x_low, weight and bias of a case, float32 on the CPU."""
    x_high, x_low, weight = (_pattern(shape, i) for i, shape in enumerate(case.shapes))
    return x_high, x_low, weight, _pattern(weight.shape[:1], 5)


def fingerprint(tensor: Tensor) -> float:
    """The sum of the elements, in (N, C, H, W) order, times 1, 2, ..., 7, 1, 2, ..."""
    flat = tensor.detach().double().cpu().flatten()
    return float((flat * (1 + torch.arange(flat.numel()) % 7)).sum())


def _pattern(shape: tuple[int, ...] | torch.Size, seed: int) -> Tensor:
    """Integers from -2 to 2 without a short period: digits of i * i in base 5, shifted."""
    i = torch.arange(torch.Size(shape).numel()) + 11 * seed
    return ((i * i // 3 + i // 5) % 5 - 2).float().reshape(shape)
