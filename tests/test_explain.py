"""Which path a call takes, and why."""

import inspect
from typing import Any

import pytest
import torch
from networks import octave_maps

from octconv_cuda import Explanation, OctConv2d, explain, oct_conv2d
from octconv_cuda.call import convolutions_allow_tf32
from octconv_cuda.ops import native_kernels

MAPS = octave_maps()
ONLY_LOW = octave_maps(channels=(0, 8))
WEIGHT = torch.randn(8, 8, 3, 3)
GOOD: dict[str, Any] = {"input": MAPS, "weight": WEIGHT, "out_channels": (4, 4)}


@pytest.mark.parametrize("allowed", [False, True])
def test_kernels_may_use_tf32_where_pytorch_does(allowed: bool) -> None:
    torch.backends.cudnn.allow_tf32 = allowed
    assert convolutions_allow_tf32() == allowed


def takes_operator(**call: Any) -> bool:
    """Whether ``oct_conv2d`` went through the operator, as the profiler saw it."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        oct_conv2d(**call)
    return any(event.name == "octconv_cuda::forward" for event in profile.events())


@pytest.mark.parametrize(
    ("arguments", "path", "reason"),
    [
        ({}, "operator", "octconv_cuda::forward"),
        ({"stride": 2}, "operator", "octconv_cuda::forward"),
        ({"padding": 1, "dilation": (1, 1), "groups": 1}, "operator", "octconv_cuda::forward"),
        ({"input": torch.randn(2, 8, 7, 6)}, "operator", "octconv_cuda::forward"),
        ({"input": ONLY_LOW}, "operator", "octconv_cuda::forward"),
        ({"out_channels": (8, 0)}, "operator", "octconv_cuda::forward"),
        (
            {"input": torch.randn(2, 8, 7, 6), "out_channels": (8, 0), "stride": 2},
            "operator",
            "octconv_cuda::forward",
        ),
        ({"groups": 2, "weight": WEIGHT[:, :4]}, "composition", "groups=2"),
        ({"groups": 8, "weight": WEIGHT[:, :1]}, "composition", "groups=8"),
        ({"dilation": 2}, "composition", "dilation=(2, 2)"),
        ({"dilation": (1, 2)}, "composition", "dilation=(1, 2)"),
        ({"padding_mode": "reflect"}, "composition", "padding_mode='reflect'"),
        (
            {"input": torch.randn(2, 8, 7, 6), "out_channels": (8, 0)},
            "composition",
            "no low part on either side",
        ),
        (
            {"input": ONLY_LOW, "out_channels": (0, 8)},
            "composition",
            "no high part on either side",
        ),
    ],
)
def test_path_and_reason(arguments: dict[str, Any], path: str, reason: str) -> None:
    call = {**GOOD, **arguments}
    explanation = explain(**call)
    assert explanation.path == path
    assert reason in explanation.reason
    assert takes_operator(**call) == (path == "operator")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtypes_of_one_path(dtype: torch.dtype) -> None:
    maps = octave_maps(dtype=dtype)
    assert explain(maps, WEIGHT.to(dtype), out_channels=(4, 4)) == explain(**GOOD)


def test_kernel_names_what_computes() -> None:
    explanation = explain(**GOOD)
    assert "forward" in native_kernels("cpu")
    assert explanation.kernel == "native on cpu"
    assert explain(**GOOD, dilation=2).kernel == "PyTorch's operators"


def test_meta_device_has_no_kernels() -> None:
    """Its fakes are registered as if they were."""
    maps = tuple(part.to("meta") for part in MAPS)
    explanation = explain(maps, WEIGHT.to("meta"), out_channels=(4, 4))
    assert explanation.kernel == "PyTorch's convolutions"


def test_one_line() -> None:
    explanation = Explanation("operator", "kernel", "because")
    assert str(explanation) == "operator: kernel (because)"
    assert "\n" not in str(explain(**GOOD))


def test_module_explains_its_own_arguments() -> None:
    assert OctConv2d(8, 8, 3).explain(MAPS) == explain(**GOOD)
    assert OctConv2d(8, 8, 3, dilation=2).explain(MAPS) == explain(**GOOD, dilation=2)
    layer = OctConv2d(8, 8, 3, alpha_in=1, alpha_out=1)
    low = ONLY_LOW.low
    assert layer.explain((None, low), size=(7, 6)).path == "composition"


def test_computes_nothing() -> None:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        explain(**GOOD)
        OctConv2d(8, 8, 3, device="meta")
    assert not any("conv" in event.name for event in profile.events())


def test_same_arguments_as_the_function() -> None:
    explained, called = (inspect.signature(f).parameters for f in (explain, oct_conv2d))
    assert list(explained.values()) == list(called.values())


def test_a_family_that_does_not_cover_a_call_is_an_error() -> None:
    for name, call in (("oct_conv2d", oct_conv2d), ("explain", explain)):
        for family in ("sm80", "sm90"):
            with pytest.raises(
                ValueError, match=f"{name}: family='{family}' must serve the call.*groups=2"
            ):
                call(**{**GOOD, "groups": 2, "weight": WEIGHT[:, :4]}, family=family)
            with pytest.raises(ValueError, match="no kernel for the device cpu"):
                call(**GOOD, family=family)
        with pytest.raises(ValueError, match="None, 'none', 'sm80' or 'sm90', got 'sm75'"):
            call(**GOOD, family="sm75")
    with pytest.raises(ValueError, match="OctConv2d: family must be"):
        OctConv2d(8, 8, 3, family="any")


def test_the_family_goes_with_a_layer_and_into_its_backward() -> None:
    layer = OctConv2d((4, 4), (4, 4), 3, family="none")
    assert layer.explain(MAPS).path == "operator"
    layer(MAPS).high.sum().backward()
    grads = [layer.weight.grad.clone(), layer.bias.grad.clone()]
    layer.family = None
    layer.zero_grad()
    layer(MAPS).high.sum().backward()
    assert torch.equal(grads[0], layer.weight.grad)
    assert torch.equal(grads[1], layer.bias.grad)
    layer.family = "sm80"
    with pytest.raises(ValueError, match="OctConv2d: family='sm80'"):
        layer(MAPS)
