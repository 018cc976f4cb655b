"""The native operators on geometries that the fused kernels cover, in full size: what a GPU runs.

On a GPU the kernels must serve, and the plan chooses their tiles. On a CPU its own kernels do.
"""

import json
from collections.abc import Sequence

import pytest
import torch
from cases import Case, multiples_of
from emulated_weight_grad import integer_operands
from geometries import split
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

OPS = torch.ops.octconv_cuda
DTYPES = (torch.bfloat16, torch.float16, torch.float32)  # float32 as tf32
EACH_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)

# The layers of networks at a small batch, and what is odd about others.
CASES = (
    Case(*split(64, 0.5, 64, 0.5), size=(56, 56)),
    Case(*split(128, 0.5, 128, 0.5), size=(28, 28), batch=5),
    Case(*split(256, 0.5, 256, 0.5), size=(14, 14), batch=7),
    Case(*split(64, 0.5, 256, 0.5), (1, 1), size=(56, 56)),
    Case(*split(1024, 0.5, 256, 0.5), (1, 1), size=(14, 14), batch=9),
    Case(*split(320, 0.5, 320, 0.5), size=(64, 64), batch=1),
    Case(*split(640, 0.5, 640, 0.5), size=(32, 32), batch=1),
    Case(*split(64, 0.0, 128, 0.25), size=(57, 39), stride=2),
    Case(*split(128, 0.25, 64, 0.0), size=(40, 56)),
    Case(*split(128, 1.0, 64, 0.5), size=(33, 56)),
    Case(*split(64, 0.5, 128, 1.0), size=(56, 31), bias=False),
    Case(*split(64, 0.75, 128, 0.125), size=(33, 47), stride=2, batch=5),
    Case(*split(96, 0.5, 64, 0.5), (1, 1), size=(29, 31), stride=2, batch=5),
    Case((28, 4), (32, 32), size=(29, 30), stride=2, batch=5),
    Case(*split(48, 0.5, 80, 0.5), (5, 5), size=(31, 30)),
    Case(*split(48, 0.5, 80, 0.5), (5, 5), size=(31, 30), stride=2),
    Case(*split(32, 0.25, 48, 0.5), (7, 7), size=(28, 29)),
    Case(*split(32, 0.25, 48, 0.5), (7, 7), size=(57, 56), stride=2),
    Case((8, 8), (8, 8), size=(1, 1), batch=300),
    Case((8, 8), (8, 8), size=(1, 700), batch=1),
    Case((8, 8), (8, 8), (1, 1), size=(900, 1), batch=3),
)


@st.composite
def covered_cases(draw: st.DrawFn) -> Case:
    pairs = st.tuples(*2 * [st.integers(0, 17).map(lambda n: 8 * n)]).filter(any)
    extents = st.tuples(st.integers(1, 37), st.integers(1, 37))
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
        torch.testing.assert_close(result.double(), exact, rtol=0, atol=1e-6)


def families(case: Case, device: torch.device, dtype: torch.dtype) -> list[str]:
    """All that cover a case, forward and in its input gradient; "" chooses, and may pool first."""
    names = [""] if device.type != "cuda" or case.stride == 2 else []
    # What pools first asks nothing of the parts that it makes one of.
    if device.type == "cuda" and not any(c % 8 for c in case.in_channels):
        names.append("sm80")
        hopper = torch.cuda.get_device_capability(device) == (9, 0) and dtype != torch.float32
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
    return pixels and min(high, low, to_high, to_low) > 0


def grad_families(case: Case, device: torch.device, dtype: torch.dtype) -> list[str]:
    """The same of the weight gradient, whose kernels for Hopper take all parts at stride 1."""
    parts = case.stride == 1 and min(*case.in_channels, *case.out_channels) > 0
    names = families(case, device, dtype)
    return names if parts else [name for name in names if name != "sm90"]


def check_forward(case: Case, device: torch.device, dtype: torch.dtype) -> None:
    operands = case.integers()
    arguments = (case.out_channels[0], case.size, case.stride, True)
    expected = OPS.composed_forward(*moved(operands, device, torch.float64), *arguments)
    for name in families(case, device, dtype):
        poison([part.to(dtype) for part in expected])
        check_exact(OPS.forward(*moved(operands, device, dtype), *arguments, name), expected)


def input_grad_operands(case: Case) -> list[Tensor]:
    taps = sum(case.out_channels) * case.kernel_size[0] ** 2
    weight = multiples_of(1, share=min(1, 24 / taps))(
        sum(case.out_channels), sum(case.in_channels), *case.kernel_size
    )
    return [*(4**case.stride * g for g in case.integer_gradients()), weight]


def check_input_grad(case: Case, device: torch.device, dtype: torch.dtype) -> None:
    operands = input_grad_operands(case)
    arguments = (case.in_channels[0], case.size, case.stride, True)
    expected = OPS.composed_input_grad(*moved(operands, device, torch.float64), *arguments)
    for name in families(case, device, dtype):
        poison([part.to(dtype) for part in expected])
        check_exact(OPS.input_grad(*moved(operands, device, dtype), *arguments, name), expected)


def check_weight_grad(case: Case, device: torch.device, dtype: torch.dtype) -> None:
    x, dy = integer_operands(case)
    arguments = (case.size, case.kernel_size, case.stride, True, case.batch % 2 == 0)
    operands = [*x, *dy]
    expected = OPS.composed_weight_grad(*moved(operands, device, torch.float64), *arguments)
    for name in grad_families(case, device, dtype):
        poison([part.to(dtype) for part in expected])
        check_exact(OPS.weight_grad(*moved(operands, device, dtype), *arguments, name), expected)


# What family sm90 meets in tiles of every shape: chunks and columns that end early, images that
# share a tile, more tiles than blocks.
SM90_CASES = (
    Case((64, 64), (64, 64), size=(28, 28), batch=3),
    Case((32, 32), (32, 32), size=(56, 56), batch=40),
    Case((8, 8), (8, 8), size=(2, 2), batch=1),
    Case((128, 128), (128, 128), size=(14, 14), batch=9),
    Case((72, 40), (104, 88), size=(33, 47), batch=3),
    Case((200, 24), (40, 168), size=(27, 28), batch=5),
    Case((24, 200), (168, 320), size=(13, 9), batch=6, bias=False),
    Case((64, 64), (64, 64), size=(29, 70), batch=37),
    Case((160, 160), (160, 160), size=(64, 64), batch=8),
)

# The same for kernels of one tap: boxes of several images, phases that no quad has, weights that
# stay and such that do not.
SM90_1X1_CASES = (
    Case(*split(64, 0.5, 256, 0.5), (1, 1), size=(56, 56), batch=40),
    Case(*split(256, 0.5, 64, 0.5), (1, 1), size=(56, 56), batch=40),
    Case(*split(128, 0.5, 512, 0.5), (1, 1), size=(28, 28), batch=9),
    Case(*split(1024, 0.5, 256, 0.5), (1, 1), size=(14, 14), batch=9),
    Case((8, 24), (72, 8), (1, 1), size=(1, 1), batch=3),
    Case((24, 72), (8, 72), (1, 1), size=(7, 5), batch=33),
    Case((72, 8), (24, 136), (1, 1), size=(13, 9), batch=7),
    Case((136, 200), (72, 24), (1, 1), size=(1, 70), batch=5, bias=False),
    Case((40, 24), (72, 200), (1, 1), size=(56, 57), batch=5),
    Case((72, 136), (264, 104), (1, 1), size=(29, 31), batch=6),
    Case((264, 8), (8, 72), (1, 1), size=(16, 15), batch=2),
)
# Without a low part on one side, and at stride 2.
SM90_PARTS = (
    Case((64, 0), (32, 32), (1, 1), size=(56, 56), batch=9),
    Case((512, 512), (512, 0), (1, 1), size=(14, 14), batch=9),
    Case((72, 0), (8, 136), (1, 1), size=(13, 9), batch=5),
    Case((24, 136), (72, 0), (1, 1), size=(7, 33), batch=5, bias=False),
    Case((128, 128), (256, 256), (1, 1), size=(56, 56), batch=5, stride=2),
    Case((0, 72), (24, 8), (1, 1), size=(13, 10), batch=3, stride=2),
    Case((40, 0), (24, 72), (1, 1), size=(9, 15), batch=3, stride=2),
)


# Few tiles of many channels, whose chunks share out evenly and not, and linear tiles; what the
# plans of both directions say of them.
SPLIT, PAIRED, LINEAR = "clusters of", "clusters of 2", "28x4 quads x 32"
TRIAL_CASES = (
    (Case((320, 320), (320, 320), size=(32, 32), batch=1), SPLIT, SPLIT),
    (Case((160, 160), (160, 160), size=(64, 64), batch=1), PAIRED, PAIRED),
    (Case((256, 256), (32, 32), size=(33, 65), batch=1), SPLIT, ""),
    (Case((128, 128), (128, 128), size=(14, 14), batch=1), SPLIT, SPLIT),
    (Case((264, 72), (104, 200), size=(27, 13), batch=2), SPLIT, SPLIT),
    (Case((136, 264), (136, 72), size=(14, 9), batch=2, bias=False), SPLIT, SPLIT),
    (Case((512, 512), (128, 128), (1, 1), size=(14, 14), batch=1), SPLIT, ""),
    (Case((128, 128), (512, 512), (1, 1), size=(13, 14), batch=1), "", SPLIT),
    (Case((32, 32), (32, 32), size=(56, 56), batch=46), LINEAR, LINEAR),
    (Case((24, 40), (32, 8), size=(51, 55), batch=12), LINEAR, ""),
)
HOPPER_CHECKS = pytest.mark.parametrize(
    "check", [check_forward, check_input_grad], ids=lambda f: f.__name__[6:]
)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@HOPPER_CHECKS
@pytest.mark.parametrize(("case", "forward", "input_grad"), TRIAL_CASES, ids=str)
def test_family_sm90_on_trial(
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
    forward: str,
    input_grad: str,
    check,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "1")
    text = check_family_sm90(case, check, dtype, device)
    assert (forward if check is check_forward else input_grad) in text


@pytest.mark.parametrize(("case", "forward", "input_grad"), TRIAL_CASES, ids=str)
def test_cases_on_trial_are_planned_so(case: Case, forward: str, input_grad: str) -> None:
    """Here, where no device may be, for the test above."""
    numbers = [
        case.batch,
        *case.size,
        *case.in_channels,
        *case.out_channels,
        case.kernel_size[0],
        1,
    ]
    for grad, expected in enumerate((forward, input_grad)):
        text = json.loads(OPS.plan_forward_sm90([*numbers, grad], "bfloat16", "H200", True))["text"]
        assert expected in text
        assert expected or (SPLIT not in text and LINEAR not in text)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@HOPPER_CHECKS
@pytest.mark.parametrize("case", SM90_CASES + SM90_1X1_CASES + SM90_PARTS, ids=str)
def test_family_sm90(case: Case, check, dtype: torch.dtype, device: torch.device) -> None:
    check_family_sm90(case, check, dtype, device)


def check_family_sm90(case: Case, check, dtype: torch.dtype, device: torch.device) -> str:
    """What explains the call, which must be exact and give the same bits again."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) != (9, 0):
        pytest.skip("no device of compute capability 9.0")
    assert "sm90" in families(case, device, dtype)
    check(case, device, dtype)
    if check is check_forward:
        operands, channels = case.integers(), case.out_channels
        operator, explain = OPS.forward, OPS.explain_forward
    else:
        operands, channels = input_grad_operands(case), case.in_channels
        operator, explain = OPS.input_grad, OPS.explain_input_grad
    operands = moved(operands, device, dtype)
    arguments = (channels[0], case.size, case.stride, True, "sm90")
    kernel = "forward_1x1_sm90" if case.kernel_size == (1, 1) else "forward_sm90"
    text: str = explain(*operands[:3], *arguments)  # without the bias
    assert kernel in text
    first, again = (operator(*operands, *arguments) for _ in range(2))
    assert all(map(torch.equal, first, again))
    return text


def test_sums_of_the_high_gradient_do_not_overflow(device: torch.device) -> None:
    """They are 120,000 where float16 ends at 65,504, and a quarter of that times the weight."""
    if device.type != "cuda":
        pytest.skip("CUDA only")
    case = Case((64, 64), (64, 64), size=(16, 16))
    high, low, weight = map(torch.zeros_like, input_grad_operands(case))
    high.fill_(30000)
    weight[0, 64:, 1, 1] = 0.25
    operands = moved([high, low, weight], device, torch.float16)
    for name in families(case, device, torch.float16):
        _, result = OPS.input_grad(*operands, 64, case.size, 1, True, name)
        assert (result == 30000).all(), name


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("case", SM90_CASES + SM90_1X1_CASES, ids=str)
def test_weight_grad_of_family_sm90(case: Case, dtype: torch.dtype, device: torch.device) -> None:
    if "sm90" not in families(case, device, dtype):
        pytest.skip("no device of compute capability 9.0")
    check_weight_grad(case, device, dtype)
    operands = moved((*case.normal()[:2], *case.normal_gradients()), device, dtype)
    arguments = (case.size, case.kernel_size, case.stride, True)
    explained = OPS.explain_weight_grad(*operands, *arguments, "sm90")
    kernel = "weight_grad_1x1_sm90" if case.kernel_size == (1, 1) else "weight_grad_sm90"
    assert explained.startswith(kernel)
    first, again = (OPS.weight_grad(*operands, *arguments, False, "sm90") for _ in range(2))
    assert all(map(torch.equal, first, again))


def test_family_sm90_says_what_it_does_not_cover(device: torch.device) -> None:
    if device.type != "cuda":
        pytest.skip("CUDA only")
    case = Case((64, 64), (64, 64), (5, 5), size=(28, 28))
    arguments = (64, case.size, case.stride, True, "sm90")
    message = "family sm90 must serve this call, and does not cover"
    for operator, operands in (
        (OPS.forward, case.integers()),
        (OPS.input_grad, input_grad_operands(case)),
    ):
        with pytest.raises(RuntimeError, match=message):
            operator(*moved(operands, device, torch.bfloat16), *arguments)


CHECKS = pytest.mark.parametrize(
    "check", [check_forward, check_input_grad, check_weight_grad], ids=lambda f: f.__name__[6:]
)


@EACH_DTYPE
@CHECKS
@pytest.mark.parametrize("case", CASES, ids=str)
def test_integers_are_exact(case: Case, check, dtype: torch.dtype, device: torch.device) -> None:
    check(case, device, dtype)


@EACH_DTYPE
@CHECKS
@given(case=covered_cases())
@settings(max_examples=40)
def test_any_covered_geometry(case: Case, check, dtype: torch.dtype, device: torch.device) -> None:
    check(case, device, dtype)
