"""The native operators against exact results, wherever they run."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
import torch
from cases import Case
from emulated_forward import input_grad_operands
from emulated_weight_grad import integer_operands
from epilogues import ACTIVATIONS, Extras
from hypothesis import strategies as st
from oracle import assert_accurate
from torch import Tensor

from octconv_cuda.build import build_info, why_no_kernels

OPS = torch.ops.octconv_cuda
DTYPES = (torch.bfloat16, torch.float16, torch.float32)  # float32 as tf32
EACH_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)
# A small call that each part of what is on trial changes alone, and a word of its plan.
PARTS_ON_TRIAL = {
    "splits": (Case((256, 256), (64, 64), size=(14, 14), batch=1), "clusters of 8"),
    "sharers": (Case((200, 40), (200, 40), (1, 1), size=(14, 14), batch=2), "2 to a weight"),
    "overlaps": (Case((8, 8), (8, 8), size=(14, 15), batch=1), "overlapping"),
    "late": (Case((8, 8), (72, 72), size=(2, 5), batch=231), "and then 10 high ones"),
    "linear": (Case((32, 8), (8, 8), size=(13, 14), batch=1), "28x4 quads"),
    "narrow": (Case((8, 8), (8, 8), size=(14, 15), batch=1), "x 64, low 16x16 x 32"),
    "registers": (Case((24, 0), (24, 8), size=(8, 28), batch=1), "through registers"),
    "small": (Case((72, 72), (8, 8), (1, 1), size=(14, 14), batch=2), "7x6 quads"),
}


class Platform(NamedTuple):
    """Operators, the device of their tensors, and the compute capability that kernels run for.

    (0, 0): there are none.
    """

    ops: Any
    device: torch.device
    capability: tuple[int, int]

    @classmethod
    def of(cls, device: torch.device) -> "Platform":
        if device.type != "cuda" or why_no_kernels(device.index or 0):
            return cls(OPS, device, (0, 0))
        capability = torch.cuda.get_device_capability(device)
        if capability == (9, 0) and "9.0a" not in build_info().archs:
            capability = (8, 0)
        return cls(OPS, device, capability)

    @property
    def has_kernels(self) -> bool:
        return self.capability >= (8, 0)


@st.composite
def covered_cases(draw: st.DrawFn, most_channels: int = 136, most_pixels: int = 37) -> Case:
    part = st.integers(0, most_channels // 8).map(lambda n: 8 * n)
    pairs = st.tuples(part, part).filter(any)
    extents = st.tuples(st.integers(1, most_pixels), st.integers(1, most_pixels))
    k = draw(st.sampled_from([1, 3, 3, 5, 7]))
    return Case(
        draw(pairs), draw(pairs), (k, k), draw(st.integers(1, 2)), draw(extents),
        draw(st.integers(1, 6)), draw(st.booleans()),
    )  # fmt: skip


def moved(parts: Sequence[Tensor | None], *to: object) -> list[Tensor | None]:
    """channels_last copies elsewhere, or in another dtype."""

    def copied(part: Tensor) -> Tensor:
        copy = part.to(*to)
        return copy.contiguous(memory_format=torch.channels_last) if copy.dim() == 4 else copy

    return [None if part is None else copied(part) for part in parts]


def poison(results: Sequence[Tensor]) -> None:
    """NaN in memory that is free for the next results of these sizes."""
    for result in results:
        torch.full_like(result, torch.nan)


def check_exact(results: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for result, exact in zip(results, expected, strict=True):
        torch.testing.assert_close(result.double(), exact, rtol=0, atol=0)


def families(case: Case, platform: Platform, dtype: torch.dtype) -> list[str]:
    """All that cover a case, forward and in its input gradient; "" chooses, and may pool first."""
    names = [""] if not platform.has_kernels or case.stride == 2 else []
    # What pools first asks nothing of the parts that it makes one of.
    if platform.has_kernels and not any(c % 8 for c in case.in_channels):
        names.append("sm80")
        hopper = platform.capability == (9, 0) and dtype != torch.float32
        if hopper and hopper_covers(case):
            names.append("sm90")
    return names


def hopper_covers(case: Case) -> bool:
    """Whether forward_1x1_sm90 or forward_sm90 do; at stride 2 behind pool2x2."""
    (high, low), (to_high, to_low) = case.in_channels, case.out_channels
    if case.stride == 2:
        high, low = high + low, 0
    if case.kernel_size == (1, 1):
        return min(high, to_high) > 0 and max(low, to_low) > 0
    pixels = case.kernel_size == (3, 3) and min(case.out_size) > 1
    return pixels and max(high, to_high) > 0 and max(low, to_low) > 0


def grad_families(case: Case, platform: Platform, dtype: torch.dtype) -> list[str]:
    """The same of the weight gradient, whose kernels for Hopper take all parts at stride 1.

    Those of 3x3 windows serve maps of one row or column, too, where the forward's do not: there
    "" chooses them.
    """
    parts = case.stride == 1 and min(*case.in_channels, *case.out_channels) > 0
    names = families(case, platform, dtype)
    if parts:
        return names if {"", "sm90"} & {*names} else [*names, ""]
    return [name for name in names if name != "sm90"]


def check_operator(
    operator: str,
    operands: Sequence[Tensor | None],
    arguments: tuple[Any, ...],
    platform: Platform,
    dtype: torch.dtype,
    names: list[str],
) -> None:
    """Exact, by each of the families of these names."""
    exact = moved(operands, platform.device, torch.float64)
    expected = getattr(OPS, f"composed_{operator}")(*exact, *arguments)
    run = getattr(platform.ops, operator)
    for name in names:
        poison([part.to(dtype) for part in expected])
        check_exact(run(*moved(operands, platform.device, dtype), *arguments, name), expected)


def check_forward(case: Case, platform: Platform, dtype: torch.dtype) -> None:
    arguments = (case.out_channels[0], case.size, case.stride, True)
    names = families(case, platform, dtype)
    check_operator("forward", case.integers(), arguments, platform, dtype, names)


def check_input_grad(case: Case, platform: Platform, dtype: torch.dtype) -> None:
    arguments = (case.in_channels[0], case.size, case.stride, True)
    names = families(case, platform, dtype)
    check_operator("input_grad", input_grad_operands(case), arguments, platform, dtype, names)


def check_weight_grad(case: Case, platform: Platform, dtype: torch.dtype) -> None:
    x, dy = integer_operands(case)
    arguments = (case.size, case.kernel_size, case.stride, True, case.batch % 2 == 0)
    names = grad_families(case, platform, dtype)
    check_operator("weight_grad", [*x, *dy], arguments, platform, dtype, names)


def check_smallest_gradients(case: Case, platform: Platform, dtype: torch.dtype) -> None:
    """Integers times what they make the smallest numbers of float16 with: sums are as exact."""
    *dy, weight = input_grad_operands(case)
    arguments = (case.in_channels[0], case.size, case.stride, True)
    operands = [*(2.0**-26 * g for g in dy), weight]
    names = families(case, platform, dtype)
    check_operator("input_grad", operands, arguments, platform, dtype, names)
    x, dy = integer_operands(case)
    arguments = (case.size, case.kernel_size, case.stride, True, False)
    operands = [*x, *(2.0**-24 * g for g in dy)]
    names = grad_families(case, platform, dtype)
    check_operator("weight_grad", operands, arguments, platform, dtype, names)


CHECKS = pytest.mark.parametrize(
    "check", [check_forward, check_input_grad, check_weight_grad], ids=lambda f: f.__name__[6:]
)


def forward_call(case: Case, dtype: torch.dtype) -> tuple[Any, ...]:
    """Operands and arguments of forward."""
    flags = (case.out_channels[0], case.size, case.stride, True)
    return (*moved(case.integers(), dtype), *flags)


def exact_forward(call: tuple[Any, ...]) -> Sequence[Tensor]:
    exact: Sequence[Tensor] = OPS.composed_forward(*moved(call[:4], torch.float64), *call[4:])
    return exact


def inference_call(
    case: Case, extras: Extras, dtype: torch.dtype, activation: int
) -> tuple[Any, ...]:
    """Operands and arguments of inference."""
    extras.round_to(dtype)
    tail = (case.out_channels[0], case.size, case.stride, False)
    operands = case.normal().to(dtype)
    return (*operands, extras.scale, extras.shift, *extras.residuals, activation, *tail)


def check_inference_of_integers(case: Case, platform: Platform, dtype: torch.dtype) -> None:
    """Rounded once, by each of the families; float32 as tf32. From SiLU on, all but a last bit."""
    operands = case.integers()
    flags = (case.out_channels[0], case.size, case.stride, True)
    exact = OPS.composed_forward(*moved(operands, torch.float64), *flags)
    last_bits = 1e-5 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
    for name in families(case, platform, dtype):
        for activation in range(len(ACTIVATIONS)):
            parts = {0: (0,), 1: (0, 1)}.get(activation, (1,))
            extras = Extras.integers(case, True, dtype)
            extras.residuals = tuple(
                r if i in parts else None for i, r in enumerate(extras.residuals)
            )
            expected = [part.to(dtype) for part in extras.exact(exact, activation)]
            poison([part.to(platform.device) for part in expected])
            results = platform.ops.inference(
                *moved(operands, platform.device, dtype),
                *moved((extras.scale, extras.shift, *extras.residuals), platform.device),
                activation, *flags, name,
            )  # fmt: skip
            tolerance = last_bits if activation > 1 else 0
            for part, rounded in zip(results, expected, strict=True):
                torch.testing.assert_close(part.cpu(), rounded, rtol=tolerance, atol=tolerance)


def check_relu_keeps_nan(case: Case, platform: Platform, dtype: torch.dtype) -> None:
    """Without residuals, by each of the families, wherever ReLU of PyTorch does."""
    x, *rest = inference_call(case, Extras(case, False), dtype, 1)
    x[0, :, 0, 0] = torch.nan
    expected = OPS.composed_inference(x, *rest)
    call = [t.to(platform.device) if isinstance(t, Tensor) else t for t in (x, *rest)]
    for name in families(case, platform, dtype):
        for part, of_torch in zip(platform.ops.inference(*call, name), expected, strict=True):
            assert torch.equal(part.isnan().cpu(), of_torch.isnan())
            assert 0 < part.isnan().sum() < part.numel()


def check_inference(case: Case, platform: Platform, dtype: torch.dtype, family: str = "") -> None:
    """As near to float64 as PyTorch's convolutions with the formula behind them, or nearer."""
    others = [(residual, a) for a in range(2, len(ACTIVATIONS)) for residual in (True, False)]
    for residual, activation in ((True, 1), (False, 0), *others):
        call = [
            t.to(platform.device) if isinstance(t, Tensor) else t
            for t in inference_call(case, Extras(case, residual), dtype, activation)
        ]
        composed = OPS.composed_inference(*call)
        scale, shift = 4, 5
        wide = [
            t.double() if isinstance(t, Tensor) and i not in (scale, shift) else t
            for i, t in enumerate(call)
        ]
        exact = OPS.composed_inference(*wide)
        first, again = (platform.ops.inference(*call, family) for _ in range(2))
        assert all(map(torch.equal, first, again))
        for part, of_torch, expected in zip(first, composed, exact, strict=True):
            if part.shape[1]:
                assert_accurate(part, of_torch, expected)
