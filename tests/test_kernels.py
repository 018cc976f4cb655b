"""The native operators on geometries that the fused kernels cover, in full size: what a GPU runs.

On a GPU that there is code for the kernels must serve, and the plan chooses their tiles. On a CPU
its own kernels do.
"""

import json
from typing import Any

import pytest
import torch
from cases import Case
from emulated_forward import input_grad_operands
from geometries import split
from hypothesis import given, settings
from kernel_checks import (
    CHECKS,
    DTYPES,
    EACH_DTYPE,
    OPS,
    PARTS_ON_TRIAL,
    Platform,
    check_forward,
    check_input_grad,
    check_smallest_gradients,
    check_weight_grad,
    covered_cases,
    families,
    moved,
)

from octconv_cuda.build import why_no_kernels

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
    Case((128, 128), (8, 8), (5, 5), size=(1, 3)),  # of which torch 2.13's CPU gets bfloat16 wrong
    Case((128, 128), (8, 16), (7, 7), size=(2, 5)),
    Case((8, 8), (8, 8), size=(1, 700), batch=1),
    Case((8, 8), (8, 8), (1, 1), size=(900, 1), batch=3),
)


# What family sm90 meets in tiles of every shape: chunks and columns that end early, images that
# share a tile, more tiles than blocks.
SM90_CASES = (
    Case((64, 64), (64, 64), size=(28, 28), batch=3),
    Case((32, 32), (32, 32), size=(56, 56), batch=40),
    Case((8, 8), (8, 8), size=(2, 2), batch=1),
    Case((8, 8), (72, 136), size=(13, 9), batch=3),
    Case((128, 128), (128, 128), size=(14, 14), batch=9),
    Case((72, 40), (104, 88), size=(33, 47), batch=3),
    Case((200, 24), (40, 168), size=(27, 28), batch=5),
    Case((24, 200), (168, 320), size=(13, 9), batch=6, bias=False),
    Case((64, 64), (64, 64), size=(29, 70), batch=37),
    Case((160, 160), (160, 160), size=(64, 64), batch=8),
    Case((8, 72), (8, 72), size=(33, 34), batch=17),
    Case((72, 72), (8, 72), size=(14, 15), batch=48),
    Case((8, 136), (72, 136), size=(14, 15), batch=64),
    Case((72, 72), (72, 72), size=(9, 10), batch=96),
    Case((136, 136), (136, 136), size=(9, 10), batch=128),
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
# Without a part on one side, and at stride 2.
SM90_PARTS = (
    Case((64, 0), (32, 32), (1, 1), size=(56, 56), batch=9),
    Case((512, 512), (512, 0), (1, 1), size=(14, 14), batch=9),
    Case((72, 0), (8, 136), (1, 1), size=(13, 9), batch=5),
    Case((24, 136), (72, 0), (1, 1), size=(7, 33), batch=5, bias=False),
    Case((128, 128), (256, 256), (1, 1), size=(56, 56), batch=5, stride=2),
    Case((0, 72), (24, 8), (1, 1), size=(13, 10), batch=3, stride=2),
    Case((40, 0), (24, 72), (1, 1), size=(9, 15), batch=3, stride=2),
    Case((64, 0), (32, 32), size=(56, 56), batch=5),
    Case((96, 32), (64, 0), size=(29, 31), batch=5),
    Case((0, 72), (24, 40), size=(13, 10), batch=3, bias=False),
    Case((72, 40), (0, 64), size=(27, 28), batch=5),
    Case((64, 64), (128, 128), size=(56, 57), batch=3, stride=2),
)


# Few tiles of many channels, whose chunks share out evenly and not; a weight for two blocks, whose
# cluster has one item or several; linear tiles; one chunk, wide and narrow, in large maps and small
# ones; blocks of both octaves; low tiles narrower than high ones; boxes of fewer quads. What both
# directions' plans say in bfloat16.
SPLIT, PAIRED, LINEAR = "clusters of", "clusters of 2", "28x4 quads x 32"
REGISTERS, LATE = "through registers", "of them for low tiles and then"
SHARED, NARROW = "2 to a weight", "x 64, low 16x16 x 32"
SMALL, SMALL_OF_ODD = "7x6 quads", "18x1 quads of 2 images"
TRIAL_CASES = (
    (Case((320, 320), (320, 320), size=(32, 32), batch=1), SPLIT, SPLIT),
    (Case((160, 160), (160, 160), size=(64, 64), batch=1), PAIRED, PAIRED),
    (Case((256, 256), (32, 32), size=(33, 65), batch=1), SPLIT, REGISTERS),
    (Case((128, 128), (128, 128), size=(14, 14), batch=1), SPLIT, SPLIT),
    (Case((264, 72), (104, 200), size=(27, 13), batch=2), SPLIT, SPLIT),
    (Case((136, 264), (136, 72), size=(14, 9), batch=2, bias=False), SPLIT, SPLIT),
    (Case((512, 512), (128, 128), (1, 1), size=(14, 14), batch=1), SPLIT, ""),
    (Case((128, 128), (512, 512), (1, 1), size=(13, 14), batch=1), "", SPLIT),
    (Case((288, 504), (208, 496), (1, 1), size=(7, 7), batch=11), SHARED, SHARED),
    (Case((512, 512), (256, 256), (1, 1), size=(14, 14), batch=100), SHARED, SHARED),
    (Case((32, 32), (32, 32), size=(56, 56), batch=46), LINEAR, LINEAR),
    (Case((24, 40), (32, 8), size=(51, 55), batch=12), LINEAR, REGISTERS),
    (Case((32, 24), (24, 32), size=(113, 90), batch=9), REGISTERS, REGISTERS),
    (Case((64, 40), (56, 64), size=(65, 70), batch=14), REGISTERS, REGISTERS),
    (Case((40, 64), (64, 48), size=(28, 27), batch=150), REGISTERS, REGISTERS),
    (Case((128, 128), (128, 128), size=(14, 14), batch=256), LATE, LATE),
    (Case((72, 8), (72, 8), size=(33, 34), batch=8), NARROW, NARROW),
    (Case((8, 8), (8, 8), size=(14, 15), batch=1), NARROW, NARROW),
    (Case((8, 8), (8, 8), size=(9, 10), batch=1), *2 * ["x 64, low 16x16 of 4 images x 32"]),
    (Case((200, 40), (200, 40), (1, 1), size=(14, 14), batch=2), SMALL, SMALL),
    (Case((72, 40), (136, 72), (1, 1), size=(33, 35), batch=6), SMALL_OF_ODD, SMALL_OF_ODD),
)
HOPPER_CHECKS = pytest.mark.parametrize(
    "check", [check_forward, check_input_grad], ids=lambda f: f.__name__[6:]
)


@pytest.mark.trial
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
    text = check_family_sm90(case, check, dtype, Platform.of(device))
    if dtype == torch.bfloat16:  # for which alone there are all kernels on trial
        assert (forward if check is check_forward else input_grad) in text


@pytest.mark.trial
@HOPPER_CHECKS
@pytest.mark.parametrize("part", PARTS_ON_TRIAL)
def test_family_sm90_with_a_part_on_trial(
    part: str, check, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", part)
    case, word = PARTS_ON_TRIAL[part]
    text = check_family_sm90(case, check, torch.bfloat16, Platform.of(device))
    assert check is check_input_grad or word in text


def plan_sm90(case: Case, input_grad: bool, trials: str) -> dict[str, Any]:
    """What family sm90 plans for an H200, wherever this runs."""
    numbers = [case.batch, *case.size, *case.in_channels, *case.out_channels]
    numbers += [case.kernel_size[0], 1, input_grad]
    return json.loads(OPS.plan_forward_sm90(numbers, "bfloat16", "H200", trials))


@pytest.mark.parametrize(("case", "forward", "input_grad"), TRIAL_CASES, ids=str)
def test_cases_on_trial_are_planned_so(case: Case, forward: str, input_grad: str) -> None:
    for grad, expected in enumerate((forward, input_grad)):
        text = plan_sm90(case, bool(grad), trials="1")["text"]
        assert expected in text
        assert expected or not any(of in text for of in (SPLIT, SHARED, LINEAR, REGISTERS, LATE))


@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
def test_cases_have_all_tiles_that_are_not_on_trial(input_grad: bool) -> None:
    """Low ones of three widths for maps of three sizes, beside high ones of 64; and narrow ones."""
    plans = [plan_sm90(case, input_grad, trials="") for case in SM90_CASES]
    tiles = {
        (*plan["low"]["quads"], plan["high"]["columns"][0], plan["low"]["columns"][0])
        for plan in plans
    }
    assert len(tiles) == 3 * 3 + 1


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@HOPPER_CHECKS
@pytest.mark.parametrize("case", SM90_CASES + SM90_1X1_CASES + SM90_PARTS, ids=str)
def test_family_sm90(case: Case, check, dtype: torch.dtype, device: torch.device) -> None:
    check_family_sm90(case, check, dtype, Platform.of(device))


def check_family_sm90(case: Case, check, dtype: torch.dtype, platform: Platform) -> str:
    """What explains the call, which must be exact and give the same bits again."""
    if platform.capability != (9, 0):
        pytest.skip("no device of compute capability 9.0")
    assert "sm90" in families(case, platform, dtype)
    check(case, platform, dtype)
    if check is check_forward:
        operands, channels = case.integers(), case.out_channels
        operator, explain = OPS.forward, OPS.explain_forward
    else:
        operands, channels = input_grad_operands(case), case.in_channels
        operator, explain = OPS.input_grad, OPS.explain_input_grad
    operands = moved(operands, platform.device, dtype)
    arguments = (channels[0], case.size, case.stride, True, "sm90")
    kernel = "forward_1x1_sm90" if case.kernel_size == (1, 1) else "forward_sm90"
    text: str = explain(*operands[:3], *arguments)  # without the bias
    assert kernel in text
    first, again = (operator(*operands, *arguments) for _ in range(2))
    assert all(map(torch.equal, first, again))
    return text


@pytest.mark.parametrize("case", SM90_CASES + SM90_1X1_CASES, ids=str)
def test_smallest_gradients_are_exact(case: Case, device: torch.device) -> None:
    if device.type != "cuda":
        pytest.skip("CUDA only")
    check_smallest_gradients(case, Platform.of(device), torch.float16)


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("case", SM90_CASES + SM90_1X1_CASES, ids=str)
def test_weight_grad_of_family_sm90(case: Case, dtype: torch.dtype, device: torch.device) -> None:
    if "sm90" not in families(case, Platform.of(device), dtype):
        pytest.skip("no device of compute capability 9.0")
    check_weight_grad(case, Platform.of(device), dtype)
    operands = moved((*case.normal()[:2], *case.normal_gradients()), device, dtype)
    arguments = (case.size, case.kernel_size, case.stride, True)
    explained = json.loads(OPS.explain_weight_grad(*operands, *arguments, "sm90"))
    kernel = "weight_grad_1x1_sm90" if case.kernel_size == (1, 1) else "weight_grad_sm90"
    assert explained["kernel"].startswith(kernel)
    first, again = (OPS.weight_grad(*operands, *arguments, False, "sm90") for _ in range(2))
    assert all(map(torch.equal, first, again))
    weight_alone, _ = OPS.weight_grad(*operands, *arguments, False, "sm90", False)
    assert torch.equal(weight_alone, first[0])


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


def test_code_for_a_gpu_runs_on_it(device: torch.device) -> None:
    """Else the composition would serve, and pass all tests."""
    if device.type != "cuda":
        pytest.skip("CUDA only")
    assert "code does not run" not in why_no_kernels(device.index or 0)


@EACH_DTYPE
@CHECKS
@pytest.mark.parametrize("case", CASES, ids=str)
def test_integers_are_exact(case: Case, check, dtype: torch.dtype, device: torch.device) -> None:
    check(case, Platform.of(device), dtype)


@EACH_DTYPE
@CHECKS
@given(case=covered_cases())
@settings(max_examples=40)
def test_any_covered_geometry(case: Case, check, dtype: torch.dtype, device: torch.device) -> None:
    check(case, Platform.of(device), dtype)
