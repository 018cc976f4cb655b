"""What the operators on CUDA launch and what they copy, compose or refuse, in the emulation."""

import threading
from collections.abc import Callable

import pytest
import torch
from cases import Case
from emulated_forward import input_grad_operands
from emulated_operators import IN_CPP, EmulatedOperators
from emulated_weight_grad import integer_operands
from emulation import build
from epilogues import Extras
from kernel_checks import (
    CHECKS,
    OPS,
    PARTS_ON_TRIAL,
    check_exact,
    check_forward,
    check_inference,
    check_input_grad,
    check_weight_grad,
    exact_forward,
    families,
    forward_call,
    inference_call,
    moved,
)
from refusals import GOOD, bad_operands
from torch import Tensor

from octconv_cuda import autograd, oct_conv2d
from octconv_cuda import call as public_call

pytestmark = pytest.mark.skipif(build.COMPILER is None, reason="no g++")


@CHECKS
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_an_operator_is_one_launch(
    check: Callable[..., None], kernel: int, stride: int, emulated: EmulatedOperators
) -> None:
    """But for pooling at stride 2, and for the sums of a weight gradient's splits."""
    case = Case((40, 24), (24, 40), (kernel, kernel), stride, (18, 16))
    family = "sm90" if stride == 1 else ""
    assert family in families(case, emulated.platform, torch.bfloat16)
    if check is check_weight_grad:
        x, dy = case.normal()[:2], case.normal_gradients()
        flags = (case.size, case.kernel_size, stride, True, True, family)
        emulated.ops.weight_grad(*moved((*x, *dy), torch.bfloat16), *flags)
    elif check is check_forward:
        emulated.ops.forward(*forward_call(case, torch.bfloat16), family)
    else:
        operands = moved(input_grad_operands(case), torch.bfloat16)
        emulated.ops.input_grad(*operands, case.in_channels[0], case.size, stride, True, family)
    kernels = [launch.params for launch in emulated.launches()]
    pool = "Pool2x2GradParams" if check is check_input_grad else "Pool2x2Params"
    assert kernels.count(pool) == (stride == 2)
    kernels = [kernel for kernel in kernels if kernel != pool]
    if check is check_weight_grad and kernels[1:] == ["WeightGradParams"]:  # of the splits
        kernels.pop()
    assert len(kernels) == 1


@IN_CPP
@pytest.mark.parametrize("trial", ["", "1"])
@CHECKS
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_runtime_is_asked_once(
    kernel: int,
    check: Callable[..., None],
    trial: str,
    emulated: EmulatedOperators,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no more when all families serve the same call again."""
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", trial)
    case = Case((72, 88), (88, 72), (kernel, kernel), size=(14, 12), batch=1)
    check(case, emulated.platform, torch.bfloat16)
    emulated.begin()
    check(case, emulated.platform, torch.bfloat16)
    assert emulated.launches()
    assert emulated.questions() == 0


@IN_CPP
def test_maps_are_made_once_for_tensors_that_stay(emulated: EmulatedOperators) -> None:
    """Of 3x3 layers all are of operands. What is new in any respect has maps of its own."""
    case = Case((104, 56), (88, 72), size=(12, 18), batch=2)
    call, other = (forward_call(case, torch.bfloat16) for _ in range(2))
    other[0].neg_()
    turned = *map(turned_by_memory, call[:2]), *call[2:5], (18, 12), *call[6:]
    zeros = *(t.zero_() for t in forward_call(case, torch.bfloat16)[:4]), *call[4:]
    of_float16 = *(t.view(torch.float16) for t in zeros[:4]), *call[4:]
    made = []

    def run() -> None:
        for operands in (call, call, other, call, other, turned, turned, zeros, of_float16):
            check_exact(emulated.ops.forward(*operands), exact_forward(operands))
            made.append(emulated.maps())

    thread = threading.Thread(target=run)  # which knows none
    thread.start()
    thread.join()
    assert made == [11, 11, 22, 22, 22, 29, 29, 40, 51]


def turned_by_memory(x: Tensor) -> Tensor:
    """The same memory in channels_last, with height and width exchanged."""
    n, c, height, width = x.shape
    return x.permute(0, 2, 3, 1).view(n, width, height, c).permute(0, 3, 1, 2)


@pytest.mark.parametrize("part", PARTS_ON_TRIAL)
def test_a_part_of_what_is_on_trial_serves_alone(
    part: str, emulated: EmulatedOperators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", part)
    case, word = PARTS_ON_TRIAL[part]
    call = forward_call(case, torch.bfloat16)
    assert word in emulated.ops.explain_forward(*call[:3], *call[4:])
    check_exact(emulated.ops.forward(*call), exact_forward(call))
    (launch,) = emulated.launches()
    assert launch.overlaps == (part == "overlaps")
    assert (launch.cluster > 1) == (part in ("splits", "sharers"))


def test_unknown_parts_are_refused(
    emulated: EmulatedOperators, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case((8, 8), (8, 8), size=(4, 4))
    call = forward_call(case, torch.bfloat16)
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "late,early")
    expected = "forward: OCTCONV_CUDA_TRIAL must be 1 or some of .*, got late,early"
    for family in ("", "sm80", "none"):
        with pytest.raises(RuntimeError, match=expected):
            emulated.ops.forward(*call, family)
    assert not emulated.launches()


@IN_CPP
def test_nothing_is_launched_for_nothing(emulated: EmulatedOperators) -> None:
    case, ops = Case((8, 8), (8, 8), size=(4, 4), batch=0), emulated.ops
    call = forward_call(case, torch.bfloat16)
    x, dy = call[:2], moved(case.normal_gradients(), torch.bfloat16)
    assert [part.shape for part in ops.forward(*call)] == [(0, 8, 4, 4), (0, 8, 2, 2)]
    dx = ops.input_grad(*dy, call[2], 8, case.size, 1, True)
    assert [part.shape for part in dx] == [(0, 8, 4, 4), (0, 8, 2, 2)]
    dweight, dbias = ops.weight_grad(*x, *dy, case.size, [3, 3], 1, True)
    assert not dweight.any()
    assert not dbias.any()
    assert ops.pool2x2(*x, True).shape == (0, 16, 2, 2)
    assert not emulated.launches()
    assert "an empty batch" in ops.explain_forward(*call[:3], *call[4:])


def test_what_is_not_covered_is_composed(
    emulated: EmulatedOperators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it looks as if a kernel covered it."""
    ops = emulated.ops
    for case, dtype, tf32, family in (
        (Case((24, 40), (40, 24), (3, 1), size=(7, 6)), torch.bfloat16, True, ""),
        (Case((24, 40), (40, 24), (1, 3), size=(7, 6)), torch.bfloat16, True, ""),
        (Case((24, 40), (40, 24), size=(7, 6)), torch.float32, False, ""),
        (Case((24, 40), (40, 24), size=(7, 6)), torch.bfloat16, True, "none"),
    ):
        call = (*forward_call(case, dtype)[:-1], tf32, family)
        check_exact(ops.forward(*call), exact_forward(call))
        (x, dy), exact = integer_operands(case), torch.float64
        flags = (case.size, case.kernel_size, 1, tf32, True, family)
        expected = OPS.composed_weight_grad(*moved((*x, *dy), exact), *flags)
        check_exact(ops.weight_grad(*moved((*x, *dy), dtype), *flags), expected)
    monkeypatch.setenv("OCTCONV_CUDA_FAMILY", "none")
    ops.forward(*forward_call(case, torch.bfloat16))
    monkeypatch.delenv("OCTCONV_CUDA_FAMILY")
    assert not emulated.launches()


def contiguous(tensor: Tensor) -> Tensor:
    return tensor.contiguous()


def behind(tensor: Tensor, elements: int) -> Tensor:
    buffer = tensor.new_zeros(tensor.numel() + elements)[elements:]
    return buffer.as_strided(tensor.shape, tensor.stride()).copy_(tensor)


def at_an_odd_address(tensor: Tensor) -> Tensor:
    return behind(tensor, 1)


def at_half_of_a_vector(tensor: Tensor) -> Tensor:
    return behind(tensor, 4)


def among_others(tensor: Tensor) -> Tensor:
    """Among other channels; a vector, among other numbers."""
    if tensor.dim() == 1:
        return tensor.repeat_interleave(2)[::2]
    wide = torch.cat([tensor, tensor], 1).contiguous(memory_format=torch.channels_last)
    return wide[:, : tensor.shape[1]]


def cropped(tensor: Tensor) -> Tensor:
    """Out of a larger map; a vector stays."""
    if tensor.dim() == 1:
        return tensor
    larger = torch.nn.functional.pad(tensor, (2, 1, 1, 2))
    return larger.contiguous(memory_format=torch.channels_last)[..., 1:-2, 2:-1]


EACH_LAYOUT = pytest.mark.parametrize(
    "change", [contiguous, at_an_odd_address, at_half_of_a_vector, among_others, cropped]
)


@EACH_LAYOUT
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
def test_any_layout_gives_the_same(
    kernel: int, stride: int, change: Callable[[Tensor], Tensor], emulated: EmulatedOperators
) -> None:
    case = Case((40, 24), (24, 40), (kernel, kernel), stride, (18, 15))
    call = forward_call(case, torch.bfloat16)
    expected = emulated.ops.forward(*call)
    check_exact(expected, exact_forward(call))
    for index in range(4):
        changed = list(call)
        changed[index] = change(call[index])
        assert all(map(torch.equal, emulated.ops.forward(*changed), expected))


@EACH_LAYOUT
@pytest.mark.parametrize("family", ["sm80", "sm90"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_any_layout_gives_the_same_in_inference(
    kernel: int, family: str, change: Callable[[Tensor], Tensor], emulated: EmulatedOperators
) -> None:
    case = Case((40, 24), (24, 40), (kernel, kernel), size=(12, 11))
    call = inference_call(case, Extras(case, True), torch.bfloat16, 1)
    expected = emulated.ops.inference(*call, family)
    for index in range(8):
        changed = list(call)
        changed[index] = change(call[index])
        assert all(map(torch.equal, emulated.ops.inference(*changed, family), expected))


@IN_CPP
@pytest.mark.parametrize(("kernel", "dtype"), [(9, torch.bfloat16), (3, torch.float32)])
def test_inference_without_a_kernel(
    kernel: int, dtype: torch.dtype, emulated: EmulatedOperators
) -> None:
    case = Case((24, 40), (40, 24), (kernel, kernel), size=(9, 8))
    check_inference(case, emulated.platform, dtype)
    assert not emulated.launches()


@IN_CPP
@pytest.mark.parametrize(
    ("name", "argument", "value"),
    # Of the other two kinds the dispatcher finds no such tensor for a CUDA operator.
    list(
        bad_operands(
            "forward", "inference", "input_grad", "weight_grad", without=("sparse", "meta")
        )
    ),
)
def test_bad_operands_are_refused(
    name: str, argument: str, value: Tensor, emulated: EmulatedOperators
) -> None:
    with pytest.raises(RuntimeError, match=f"octconv_cuda::{name}: "):
        getattr(emulated.ops, name)(**{**GOOD[name], argument: value})
    assert not emulated.launches()


@IN_CPP
@pytest.mark.parametrize(("family", "kernel"), [("sm90", 5), ("sm80", 9)])
def test_says_what_a_family_does_not_cover(
    family: str, kernel: int, emulated: EmulatedOperators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The public function as the operators: with a RuntimeError, as it documents."""
    case = Case((24, 40), (40, 24), (kernel, kernel), size=(9, 9))
    call = forward_call(case, torch.bfloat16)
    message = f"family {family} must serve this call, and does not cover it: "
    with pytest.raises(RuntimeError, match=message):
        emulated.ops.forward(*call, family)
    monkeypatch.setattr(autograd, "_ops", emulated.ops)
    monkeypatch.setattr(public_call, "native_kernels", lambda device: ("explain_forward",))
    with pytest.raises(RuntimeError, match=message):
        oct_conv2d(call[:2], *call[2:4], out_channels=case.out_channels, family=family)
    if family == "sm80":  # sm90 may leave weight gradients to others
        dy = moved(case.normal_gradients(), torch.bfloat16)
        with pytest.raises(RuntimeError, match=message):
            emulated.ops.weight_grad(
                *call[:2], *dy, case.size, case.kernel_size, 1, True, True, family
            )
    assert not emulated.launches()
