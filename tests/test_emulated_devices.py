"""Devices on which not all of the library's code runs, in the emulation."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from cases import Case
from emulated_forward import input_grad_operands
from emulated_operators import EmulatedOperators, Launch
from emulated_weight_grad import integer_operands
from emulation import build
from kernel_checks import (
    OPS,
    check_exact,
    exact_forward,
    forward_call,
    moved,
)

pytestmark = pytest.mark.skipif(build.COMPILER is None, reason="no g++")

BF16, EXACT = torch.bfloat16, torch.float64


def in_a_new_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    """Its result, by a thread that has asked for nothing yet."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(call, *arguments).result()


def while_refused_and_then(
    emulated: EmulatedOperators, params: str, call: Callable[[], Any]
) -> tuple[Any, Any]:
    """Its results in a thread while kernels with such parameters do not load, and when they do."""

    def twice() -> tuple[Any, Any]:
        emulated.refuse(params)
        refused = call()
        emulated.begin()
        return refused, call()

    result: tuple[Any, Any] = in_a_new_thread(twice)
    return result


@pytest.mark.parametrize("stride", [1, 2])
def test_pytorchs_operators_serve_where_no_kernel_runs(
    stride: int, emulated: EmulatedOperators
) -> None:
    """As with a driver that is too old for the library's CUDA runtime."""
    emulated.refuse("Pool2x2Params")
    case = Case((24, 40), (40, 24), (3, 3), stride, (9, 8))
    call, ops = forward_call(case, BF16), emulated.ops
    says = "a GPU on which the library's code does not run: invalid argument"
    assert says in in_a_new_thread(ops.explain_forward, *call[:3], *call[4:])
    assert in_a_new_thread(ops.why_no_kernels, 1) == says
    check_exact(in_a_new_thread(ops.forward, *call), exact_forward(call))

    flags = (case.in_channels[0], case.size, stride, True)
    operands = input_grad_operands(case)
    expected = OPS.composed_input_grad(*moved(operands, EXACT), *flags)
    check_exact(in_a_new_thread(ops.input_grad, *moved(operands, BF16), *flags), expected)

    (x, dy), of_weight = integer_operands(case), (case.size, case.kernel_size, stride, True)
    expected = OPS.composed_weight_grad(*moved((*x, *dy), EXACT), *of_weight)
    operands = moved((*x, *dy), BF16)
    check_exact(in_a_new_thread(ops.weight_grad, *operands, *of_weight), expected)

    expected = OPS.pool2x2(x[0].double(), x[1].double(), True)
    check_exact([in_a_new_thread(ops.pool2x2, *operands[:2], True)], [expected])
    assert not emulated.launches()
    for family in ("sm80", "sm90"):
        with pytest.raises(RuntimeError, match=f"family {family} must serve this call.*{says}"):
            in_a_new_thread(ops.forward, *call, family)


def test_small_tiles_serve_where_code_passes_no_registers(emulated: EmulatedOperators) -> None:
    """As where a driver compiles what was made for all cards."""
    high, low = torch.empty(128, 64, 56, 56, dtype=BF16), torch.empty(128, 64, 28, 28, dtype=BF16)
    weight = torch.empty(128, 128, 3, 3, dtype=BF16)
    explain = (high, low, weight, 64, (56, 56), 1, True, "sm80")
    wide = in_a_new_thread(emulated.ops.explain_forward, *explain)
    assert "wide tiles" in wide
    assert "predicted" in wide
    assert "as on H100" in wide  # the nearest known device
    first, second = while_refused_and_then(
        emulated, "ForwardParams", lambda: emulated.ops.explain_forward(*explain)
    )
    assert "small tiles" in first
    assert "wide tiles" in second


LOADS = [
    ("Pool2x2Params", 3, "forward", "ForwardSm90Params"),
    ("ForwardSm90Params", 3, "forward", "ForwardSm90Params"),
    ("JointSm90Params", 1, "forward", "JointSm90Params"),
    ("WeightGradSm90Params", 3, "weight_grad", "WeightGradSm90Params"),
    ("JointGradSm90Params", 1, "weight_grad", "JointGradSm90Params"),
]


@pytest.mark.parametrize(("params", "kernel", "name", "launched"), LOADS)
def test_what_there_was_no_memory_to_load_is_asked_for_again(
    params: str, kernel: int, name: str, launched: str, emulated: EmulatedOperators
) -> None:
    call = call_of(name, kernel)

    def fail_and_try_again() -> None:
        emulated.refuse(params, for_memory=True)
        with pytest.raises(RuntimeError, match="no memory on the device to load a kernel to"):
            getattr(emulated.ops, name)(*call)
        emulated.begin()
        getattr(emulated.ops, name)(*call)

    in_a_new_thread(fail_and_try_again)
    assert emulated.launches()[0].params == launched


@pytest.mark.parametrize(("params", "kernel", "name", "launched"), LOADS[1:])
def test_portable_kernels_serve_until_others_load(
    params: str, kernel: int, name: str, launched: str, emulated: EmulatedOperators
) -> None:
    """As where the first call is captured in a graph."""
    call = call_of(name, kernel)

    def launches() -> list[Launch]:
        getattr(emulated.ops, name)(*call)
        return emulated.launches()

    first, second = while_refused_and_then(emulated, params, launches)
    assert "Sm90" not in first[0].params
    assert second[0].params == launched


def call_of(name: str, kernel: int) -> tuple[Any, ...]:
    """Arguments of a call that Hopper's kernels serve."""
    case = Case((64, 136), (136, 64), (kernel, kernel), size=(18, 16))
    if name == "forward":
        return forward_call(case, BF16)
    x, dy = integer_operands(case)
    return (*moved((*x, *dy), BF16), case.size, case.kernel_size, 1, True)


def test_errors_of_the_runtime_are_not_remembered(emulated: EmulatedOperators) -> None:
    first, second = while_refused_and_then(
        emulated, "Pool2x2Params", lambda: emulated.ops.why_no_kernels(1)
    )
    assert first
    assert second == ""
