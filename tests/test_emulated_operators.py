"""The operators on CUDA from the call to the result, their launches run in the emulation.

The kernels have tests of their own, and test_kernels.py has more on a GPU. What is launched when,
test_emulated_launches.py has.
"""

import threading
from collections.abc import Callable

import pytest
import torch
from cases import Case
from emulated_forward import input_grad_operands
from emulated_operators import IN_CPP, EmulatedOperators
from emulated_weight_grad import integer_operands
from emulation import build
from emulation.emulator import RUNS, Run
from geometries import split
from hypothesis import given, settings
from kernel_checks import (
    CHECKS,
    DTYPES,
    EACH_DTYPE,
    OPS,
    check_exact,
    check_inference,
    check_inference_of_integers,
    check_input_grad,
    check_relu_keeps_nan,
    check_smallest_gradients,
    covered_cases,
    exact_forward,
    families,
    forward_call,
    moved,
)
from oracle import assert_accurate
from torch import Tensor, nn

from octconv_cuda import OctConv2d, autograd, fuse, models
from octconv_cuda.fused import FusedConv2d

pytestmark = pytest.mark.skipif(build.COMPILER is None, reason="no g++")


@pytest.fixture
def on_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "1")


CASES = (
    Case((64, 64), (64, 64), size=(28, 28), batch=1),
    Case((72, 40), (104, 88), size=(19, 23), batch=2),
    Case(*split(64, 0.5, 256, 0.5), (1, 1), size=(28, 28), batch=1),
    Case((136, 200), (72, 24), (1, 1), size=(1, 35), batch=3, bias=False),
    Case((64, 0), (32, 32), (1, 1), size=(13, 9), batch=3),
    Case(*split(64, 0.75, 128, 0.125), size=(17, 23), stride=2, batch=2),
    Case(*split(96, 0.5, 64, 0.5), (1, 1), size=(15, 16), stride=2, batch=2),
    Case((28, 4), (32, 32), size=(15, 16), stride=2, batch=2),
    Case(*split(48, 0.5, 80, 0.5), (5, 5), size=(11, 10)),
    Case((24, 0), (0, 24), size=(12, 7)),
)


@EACH_DTYPE
@CHECKS
@pytest.mark.parametrize("case", CASES, ids=str)
def test_integers_are_exact(
    case: Case, check: Callable[..., None], dtype: torch.dtype, emulated: EmulatedOperators
) -> None:
    check(case, emulated.platform, dtype)
    assert emulated.launches()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_smallest_gradients_are_exact(case: Case, emulated: EmulatedOperators) -> None:
    check_smallest_gradients(case, emulated.platform, torch.float16)


@IN_CPP
@EACH_DTYPE
@CHECKS
@given(case=covered_cases(most_channels=80, most_pixels=17))
@settings(max_examples=25)
def test_any_covered_geometry(
    case: Case, check: Callable[..., None], dtype: torch.dtype, emulated_library: EmulatedOperators
) -> None:
    emulated_library.begin()
    check(case, emulated_library.platform, dtype)


# Few tiles of many channels, a weight for two blocks, boxes of fewer quads, rows of quads in their
# order.
TRIAL_CASES = (
    (Case((256, 256), (64, 64), size=(14, 14), batch=1), 8),
    (Case((264, 72), (104, 200), size=(13, 7), batch=1), 8),
    (Case((512, 512), (128, 128), (1, 1), size=(14, 14), batch=1), 8),
    (Case((288, 504), (208, 496), (1, 1), size=(7, 7), batch=11), 2),
    (Case((200, 40), (200, 40), (1, 1), size=(14, 14), batch=2), 1),
    (Case((32, 32), (32, 32), size=(56, 56), batch=1), 1),
)


@pytest.mark.usefixtures("on_trial")
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize(("case", "cluster"), TRIAL_CASES, ids=str)
def test_what_is_on_trial_is_launched(
    case: Case, cluster: int, dtype: torch.dtype, emulated: EmulatedOperators
) -> None:
    call = forward_call(case, dtype)
    check_exact(emulated.ops.forward(*call), exact_forward(call))
    (launch,) = emulated.launches()
    assert launch.overlaps
    assert launch.cluster == cluster


@pytest.mark.usefixtures("on_trial")
def test_blocks_take_tiles_of_both_octaves(emulated: EmulatedOperators) -> None:
    case = Case((8, 8), (72, 72), size=(2, 5), batch=231)
    call = forward_call(case, torch.bfloat16)
    assert "for low tiles and then 10 high ones" in emulated.ops.explain_forward(
        *call[:3], *call[4:]
    )
    check_exact(emulated.ops.forward(*call), exact_forward(call))
    assert len(emulated.launches()) == 1


@pytest.mark.usefixtures("on_trial")
@pytest.mark.parametrize(
    "case",
    [
        Case((32, 32), (32, 32), size=(56, 56), batch=1),
        Case((64, 64), (64, 64), size=(28, 28), batch=2),
    ],
    ids=str,
)
def test_input_grad_on_trial_is_launched(case: Case, emulated: EmulatedOperators) -> None:
    """Through registers, with 32 columns of the transposed weight to a copy."""
    operands = moved(input_grad_operands(case), emulated.platform.device, torch.bfloat16)
    arguments = (*operands[:3], case.in_channels[0], case.size, case.stride, True, "")
    text = emulated.ops.explain_input_grad(*arguments)
    assert "x 32, " in text
    assert "through registers" in text
    check_input_grad(case, emulated.platform, torch.bfloat16)


@pytest.mark.usefixtures("on_trial")
@pytest.mark.parametrize(("case", "cluster"), TRIAL_CASES[:4], ids=str)
def test_clusters_without_room_are_not_launched(
    case: Case, cluster: int, emulated: EmulatedOperators
) -> None:
    """In a thread of its own, since threads remember what they have been told."""
    emulated.begin(room=False)
    call = forward_call(case, torch.bfloat16)
    results: list[Tensor] = []
    thread = threading.Thread(target=lambda: results.extend(emulated.ops.forward(*call)))
    thread.start()
    thread.join()
    check_exact(results, exact_forward(call))
    (launch,) = emulated.launches()
    assert launch.cluster == 1
    assert launch.overlaps  # for what needs no cluster is left


@pytest.mark.usefixtures("on_trial")
@pytest.mark.parametrize("run", RUNS, ids=str)
def test_layers_behind_each_other(run: Run, emulated: EmulatedOperators) -> None:
    """The second reads what the first wrote, and another shape makes another plan."""
    emulated.begin(run)
    first = forward_call(Case((64, 64), (128, 72), size=(14, 14), batch=1), torch.bfloat16)
    y = emulated.ops.forward(*first)
    last = forward_call(Case((128, 72), (32, 8), (1, 1), size=(14, 14), batch=1), torch.bfloat16)
    z = emulated.ops.forward(*y, *last[2:])
    exact = [part.to(torch.bfloat16) for part in exact_forward(first)]
    assert all(map(torch.equal, y, exact))
    expected = exact_forward((*exact, *last[2:]))
    for part, of_exact in zip(z, expected, strict=True):
        torch.testing.assert_close(part.double(), of_exact, rtol=2**-7, atol=2**-7)
    assert len(emulated.launches()) == 2


@pytest.mark.parametrize("mean", [False, True])
def test_pooling_is_exact(mean: bool, emulated: EmulatedOperators) -> None:
    high, low, *_ = moved(Case((24, 8), (8, 8), size=(7, 6)).integers(), torch.bfloat16)
    exact = OPS.pool2x2(high.double(), low.double(), mean)
    check_exact([emulated.ops.pool2x2(high, low, mean)], [exact])
    assert len(emulated.launches()) == 1


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("family", ["", "sm80"])
@pytest.mark.parametrize("bias", [False, True])
def test_weight_gradients_may_be_float32(
    bias: bool, stride: int, family: str, emulated: EmulatedOperators
) -> None:
    """With the bias's gradient and without it."""
    case = Case((40, 24), (24, 40), (3, 3), stride, (18, 15))
    x, dy = integer_operands(case)
    flags = (case.size, case.kernel_size, stride, True, False, family, bias, True)
    results = emulated.ops.weight_grad(*moved((*x, *dy), torch.bfloat16), *flags)
    assert all(result.dtype == torch.float32 for result in results)
    check_exact(results, OPS.composed_weight_grad(*moved((*x, *dy), torch.float64), *flags))
    assert emulated.launches()


@pytest.mark.parametrize("family", ["sm80", "sm90"])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("flags", [(False, True), (True, False)], ids=["both", "weight, float32"])
def test_splits_of_weight_gradients_are_added_up(
    kernel: int, family: str, flags: tuple[bool, bool], emulated: EmulatedOperators
) -> None:
    """As the operator says that it does."""
    case = Case((64, 64), (64, 64), (kernel, kernel), size=(28, 28), batch=2)
    (x, dy), (float32, bias) = integer_operands(case), flags
    shape = (case.size, case.kernel_size, 1, True)
    operands = moved((*x, *dy), torch.bfloat16)
    assert " splits" in emulated.ops.explain_weight_grad(*operands, *shape, family)
    results = emulated.ops.weight_grad(*operands, *shape, True, family, bias, float32)
    exact = moved((*x, *dy), torch.float64)
    check_exact(results, OPS.composed_weight_grad(*exact, *shape, True, family, bias))
    _, of_splits = emulated.launches()
    assert of_splits.params == "WeightGradParams"


def test_splits_of_the_bias_alone_may_not_be_asked_for(emulated: EmulatedOperators) -> None:
    """The plan has them, and nothing else to add up."""
    case = Case((0, 64), (8, 512), (3, 3), size=(28, 28), batch=1)
    x, dy = integer_operands(case)
    flags = (case.size, case.kernel_size, 1, True, False, "sm80", False)
    results = emulated.ops.weight_grad(*moved((*x, *dy), torch.bfloat16), *flags)
    check_exact(results, OPS.composed_weight_grad(*moved((*x, *dy), torch.float64), *flags))
    assert len(emulated.launches()) == 1


@IN_CPP
@pytest.mark.parametrize(("family", "trial"), [("sm80", ""), ("", ""), ("", "1")])
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_inference_is_accurate(
    stride: int,
    kernel: int,
    dtype: torch.dtype,
    family: str,
    trial: str,
    emulated: EmulatedOperators,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", trial)
    case = Case((136, 24), (40, 72), (kernel, kernel), stride, (13, 10))
    check_inference(case, emulated.platform, dtype, family)


@EACH_DTYPE
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_inference_rounds_integers_once(
    stride: int, kernel: int, dtype: torch.dtype, emulated: EmulatedOperators
) -> None:
    """In one launch, for all that forward covers, and where it pools first in two."""
    outs = (0, 72) if kernel == 5 else (72, 40)
    case = Case((40, 24), outs, (kernel, kernel), stride, (9, 14))
    check_inference_of_integers(case, emulated.platform, dtype)
    calls = 3 * len(families(case, emulated.platform, dtype))
    kernels = [launch for launch in emulated.launches() if launch.params != "Pool2x2Params"]
    assert len(kernels) == calls


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("kernel", [1, 3])
def test_relu_keeps_nan(kernel: int, dtype: torch.dtype, emulated: EmulatedOperators) -> None:
    case = Case((40, 24), (72, 40), (kernel, kernel), size=(9, 14))
    check_relu_keeps_nan(case, emulated.platform, dtype)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_layer_learns(
    kernel: int, stride: int, emulated: EmulatedOperators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module forward and backward, in whole numbers, as the plain formula in float64 has it."""
    monkeypatch.setattr(autograd, "_ops", emulated.ops)
    case = Case((40, 24), (24, 40), (kernel, kernel), stride, (18, 15))
    layer = OctConv2d(case.in_channels, case.out_channels, kernel, stride)
    x_high, x_low, _, bias = case.integers()
    *y_grads, weight = input_grad_operands(case)
    layer.load_state_dict({"weight": weight, "bias": bias})

    def step(dtype: torch.dtype) -> list[Tensor]:
        x = [part.to(dtype).requires_grad_() for part in (x_high, x_low)]
        y = layer.to(dtype)(x)
        wanted = [*x, *layer.parameters()]
        return [*y, *torch.autograd.grad(list(y), wanted, [g.to(dtype) for g in y_grads])]

    results = step(torch.bfloat16)
    launches = emulated.launches()
    assert len(launches) >= 3
    expected = step(torch.float64)  # of which no kernel is
    assert emulated.launches() == launches
    for result, exact in zip(results, expected, strict=True):
        assert torch.equal(result, exact.to(torch.bfloat16))


@IN_CPP
@pytest.mark.parametrize("trial", ["", "1"])
def test_a_network_is_as_accurate_as_of_pytorchs_operators(
    trial: str, emulated: EmulatedOperators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eager and fused: each layer reads what the kernels before it wrote."""
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", trial)
    network, x = models.oct_resnet26(alpha=0.5).eval(), torch.randn(2, 3, 64, 64)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        exact = network.double()(x.double())
        of_torch = network.to(torch.bfloat16)(x.to(torch.bfloat16))
        fused = fuse(network)
        for module in fused.modules():
            if isinstance(module, FusedConv2d):
                module.packed = None  # oneDNN's on a CPU
        monkeypatch.setattr(autograd, "_ops", emulated.ops)
        monkeypatch.setattr(OPS, "inference", emulated.ops.inference)
        for treated in (network, fused):
            emulated.begin()
            assert_accurate(treated(x.to(torch.bfloat16)), of_torch, exact)
            launches = emulated.launches()
            kernels = [launch for launch in launches if launch.params != "Pool2x2Params"]
            assert len(kernels) == 22  # of octave convolutions
            assert all(launch.overlaps == bool(trial) for launch in kernels)
            assert any(launch.cluster > 1 for launch in kernels) == bool(trial)
