"""Fused convolutions without an exchange of parts: what goes into cuDNN's and cuBLAS's calls."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from dispatched import Dispatched
from epilogues import MODULES
from foreign import randomized
from oracle import assert_accurate
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import flop_registry

from octconv_cuda import FusedConv2d, OctaveBatchNorm2d, OctConv2d, cudnn
from octconv_cuda import fused as fused_conv2d

LAYERS: dict[str, Any] = {
    "1x1": lambda: nn.Conv2d(16, 24, 1),
    "1x1, padding 1": lambda: nn.Conv2d(16, 24, 1, padding=1),
    "1x1, stride 2": lambda: nn.Conv2d(16, 24, 1, 2),
    "3x3": lambda: nn.Conv2d(16, 24, 3, padding=1, bias=False),
    "3x3, stride 2": lambda: nn.Conv2d(16, 24, 3, 2, 1),
    "7x7, 3 channels": lambda: nn.Conv2d(3, 16, 7, 2, 3),
    "dilation 2": lambda: nn.Conv2d(16, 24, 3, padding=2, dilation=2),
    "groups": lambda: nn.Conv2d(16, 24, 3, padding=1, groups=4),
    "depthwise": lambda: nn.Conv2d(16, 16, 3, padding=1, groups=16),
    "octave 1x1": lambda: OctConv2d((16, 0), (24, 0), 1),
    "octave 3x3": lambda: OctConv2d((16, 0), (24, 0), 3),
    "octave depthwise": lambda: OctConv2d((16, 0), (16, 0), 3, groups=16),
    "octave depthwise, stride 2": lambda: OctConv2d((16, 0), (16, 0), 3, groups=16, stride=2),
}
FORMATS = {"NHWC": torch.channels_last, "NCHW": torch.contiguous_format}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("layer", LAYERS)
def test_is_as_accurate_as_the_layers(
    layer: str,
    memory_format: str,
    dtype: torch.dtype,
    device: torch.device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)  # cuDNN's ReLU is not
    conv = LAYERS[layer]()
    layers = randomized(nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels)))
    layers.requires_grad_(False).to(device, dtype, memory_format=FORMATS[memory_format])
    x = torch.randn(2, conv.in_channels, 13, 10, device=device).to(dtype)
    x = x.contiguous(memory_format=FORMATS[memory_format])
    of_torch, exact = layers(x), copy.deepcopy(layers).double()(x.double())
    residual = torch.randn_like(of_torch)
    for name, activation in MODULES.items():
        fused = FusedConv2d(*layers, name)
        for r in (None, residual):
            _poison(of_torch)
            expected = [activation(y if r is None else y + r.to(y)) for y in (of_torch, exact)]
            assert_accurate(fused(x, r), *expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("folded", ["vanilla", "octave"])
def test_a_bright_image_is_not_what_rounds_worst(
    folded: str, dtype: torch.dtype, device: torch.device
) -> None:
    """Rounded weights times a mean far from zero, over a small deviation."""
    x = (1 + F.avg_pool2d(torch.randn(1, 8, 56, 56), 9, 1)).to(device, dtype)
    conv = nn.Conv2d(8, 64, 7, padding=3) if folded == "vanilla" else OctConv2d((8, 0), (64, 0), 7)
    layers = nn.Sequential(conv, nn.BatchNorm2d(64, momentum=1)).to(device, dtype)
    with torch.no_grad():
        layers(x)
        layers.eval()
        exact = copy.deepcopy(layers).double()(x.double())
        errors = [y.double() - exact for y in (FusedConv2d(*layers)(x), layers(x))]
    of_fused, of_torch = (error[:, :, 3:-3, 3:-3].norm() for error in errors)
    assert of_fused <= 1.2 * of_torch


def _poison(like: Tensor) -> None:
    """NaN in memory that is free for the next result."""
    torch.full_like(like, torch.nan)


def relu(x: Tensor, weight: Tensor, bias: Tensor, *geometry: Any) -> Tensor:
    return F.conv2d(x, weight, bias, *geometry).relu()


def add_relu(
    x: Tensor, weight: Tensor, z: Tensor, alpha: float, bias: Tensor, *geometry: Any
) -> Tensor:
    return F.conv2d(x, weight, bias, *geometry).add(z, alpha=alpha).relu()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The choice that is made on CUDA, with stand-ins for cuDNN; gives their calls."""
    called: list[str] = []

    def stand_in(name: str, function: Any) -> None:
        def call(*args: Any) -> Tensor:
            called.append(name)
            return function(*args)

        monkeypatch.setattr(torch, f"cudnn_convolution_{name}", call)

    stand_in("relu", relu)
    stand_in("add_relu", add_relu)
    monkeypatch.setattr(cudnn, "_on_cuda", lambda x: True)
    monkeypatch.setattr(cudnn, "_refused", set())
    monkeypatch.setattr(fused_conv2d, "can_pack", lambda weight: False)
    monkeypatch.setattr(torch.backends.cudnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    return called


def fused_layer(layer: str, activation: str, dtype: torch.dtype = torch.bfloat16) -> Any:
    """A fused layer, an input, a residual."""
    conv = LAYERS[layer]().to(dtype)
    norm = randomized(nn.BatchNorm2d(conv.out_channels)).to(dtype)
    x = 4 * torch.randn(2, conv.in_channels, 12, 10, dtype=dtype)  # beyond 6 behind the layer
    x = x.contiguous(memory_format=torch.channels_last)
    fused = FusedConv2d(conv, norm, activation)
    return fused, x, torch.randn_like(fused(x))


@pytest.mark.parametrize(
    ("layer", "activation", "plain", "with_residual"),
    [
        ("3x3", "relu", "relu", "add_relu"),
        ("1x1", "relu", "relu", "add_relu"),
        ("octave 3x3", "relu6", "relu", "add_relu"),
        ("1x1", "", "addmm", "addmm"),
        ("1x1, stride 2", "silu", "addmm", "addmm"),
        ("3x3", "", "convolution", "convolution"),
        ("depthwise", "relu", "convolution", "convolution"),
    ],
)
def test_what_serves_on_cuda(
    layer: str, activation: str, plain: str, with_residual: str, served: list[str]
) -> None:
    fused, x, residual = fused_layer(layer, activation)
    for r, expected in ((None, plain), (residual, with_residual)):
        served.clear()
        with Dispatched() as calls:
            y = fused(x, r)
        library = [name for name in calls.names if name in ("addmm", "convolution")]
        assert (served or library) == [expected]
        assert "mul" not in calls.names  # the weight is folded once
        of_torch = F.conv2d(x, fused.weight, fused.shift, *fused.geometry.values())
        of_torch = MODULES[activation](of_torch if r is None else of_torch + r)
        torch.testing.assert_close(y, of_torch, rtol=2e-2, atol=2e-2)
        assert y.is_contiguous(memory_format=torch.channels_last)


def test_another_setting_or_dtype_is_not_given_to_cudnn(
    served: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fused, x, _ = fused_layer("3x3", "relu")
    served.clear()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fused(mode.from_tensor(x))
    fused.double()(x.double())
    fused.to(torch.bfloat16)
    for setting, value in (("deterministic", True), ("enabled", False)):
        with monkeypatch.context() as patch:
            patch.setattr(torch.backends.cudnn, setting, value)
            fused(x)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
        fused(x)
    with pytest.raises(TypeError, match="FusedConv2d: the input must have the dtype of the weight"):
        fused(x.float())
    monkeypatch.setattr(cudnn, "_on_cuda", lambda x: False)
    fused(x)
    assert not served


@pytest.mark.parametrize("layer", [*LAYERS, "exchange", "exchange, stride 2"])
def test_refuses_other_residuals(layer: str) -> None:
    exchange = {"exchange": 1, "exchange, stride 2": 2}
    if layer in exchange:
        fused = FusedConv2d(OctConv2d((16, 8), (16, 0), 3, exchange[layer]), None, "relu")
        x: Any = (torch.randn(2, 16, 13, 10), torch.randn(2, 8, 7, 5))
    else:
        conv = LAYERS[layer]()
        fused, x = FusedConv2d(conv, None, "relu"), torch.randn(2, conv.in_channels, 13, 10)
    residual = torch.randn_like(fused(x))
    fused(x, residual)
    for wrong in (residual[:, :, :1, :1], residual[:1], residual[:, :8], residual[:, :, 1:]):
        with pytest.raises(ValueError, match="the high part of the residual must be"):
            fused(x, wrong)
    with pytest.raises(TypeError, match="the high part of the residual must have the dtype of the"):
        fused(x, residual.double())


def test_meta_layers_get_memory() -> None:
    """Each gets its values from a state_dict afterwards."""
    for out in ((8, 8), (16, 0)):
        fused = FusedConv2d(OctConv2d((16, 0), out, 3, bias=False), OctaveBatchNorm2d(out))
        copy_ = copy.deepcopy(fused).to("meta").to_empty(device="cpu")
        copy_.load_state_dict(fused.state_dict())
        x = torch.randn(1, 16, 6, 6)
        for part, expected in zip(copy_(x), fused(x), strict=True):
            assert torch.equal(part, expected)


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("layer", "dtype", "memory_format"),
    [
        ("1x1", torch.float32, torch.channels_last),
        ("1x1", torch.bfloat16, torch.contiguous_format),
        ("1x1, padding 1", torch.bfloat16, torch.channels_last),
    ],
    ids=str,
)
def test_what_is_no_product_as_it_lies(layer: str, dtype: torch.dtype, memory_format: Any) -> None:
    fused, x, _ = fused_layer(layer, "", dtype)
    with Dispatched() as calls:
        fused(x.contiguous(memory_format=memory_format))
    assert "convolution" in calls.names
    assert "addmm" not in calls.names


@pytest.mark.parametrize("residual", [False, True])
def test_what_cudnn_refuses_is_asked_once(
    residual: bool, served: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> Tensor:
        served.append("refused")
        raise RuntimeError("unable to find an engine to execute this computation")

    fused, x, r = fused_layer("3x3", "relu")
    expected = fused(x, r if residual else None)
    served.clear()
    for name in ("relu", "add_relu"):
        monkeypatch.setattr(torch, f"cudnn_convolution_{name}", refuse)
    for _ in range(2):
        torch.testing.assert_close(fused(x, r if residual else None), expected)
    assert served == ["refused"]
    fused(x, None if residual else r)  # another call
    assert served == ["refused", "refused"]


@pytest.mark.usefixtures("served")
def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Tensor:
        raise RuntimeError("unable to find an engine to execute this computation")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", refuse)
    monkeypatch.setattr(cudnn, "_MOST_REFUSED", 3)
    fused, x, _ = fused_layer("1x1", "relu")
    for height in range(1, 8):
        fused(x[:, :, :height])
        assert len(cudnn._refused) <= 3


def test_libraries_are_called_on_nvidia_and_outside_the_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The compiler cannot trace cuDNN's operators, and fuses by itself."""
    x: Any = SimpleNamespace(is_cuda=True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert cudnn._on_cuda(x)
    assert not cudnn._on_cuda(SimpleNamespace(is_cuda=False))
    with monkeypatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert not cudnn._on_cuda(x)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert not cudnn._on_cuda(x)


@pytest.mark.parametrize("layer", ["3x3", "octave 3x3", "depthwise"])
def test_keeps_one_weight(layer: str) -> None:
    fused, x, _ = fused_layer(layer, "relu")
    assert set(fused.state_dict()) == {"weight", "shift"}
    other = FusedConv2d(LAYERS[layer](), None, "relu").to(torch.bfloat16)
    other.load_state_dict(fused.state_dict())
    torch.testing.assert_close(other(x), fused(x))


@pytest.mark.parametrize("name", ["cudnn_convolution_relu", "cudnn_convolution_add_relu"])
def test_flop_counter_counts_cudnn(name: str) -> None:
    x, weight = torch.empty(2, 16, 12, 10, device="meta"), torch.empty(24, 16, 3, 3, device="meta")
    y = F.conv2d(x, weight)
    rest = ([1, 1], [0, 0], [1, 1])
    of_torch = flop_registry[torch.ops.aten.convolution]
    expected = of_torch(x, weight, None, *rest, False, [0, 0], 1, out_val=y)
    between = (y, 1, None) if "add" in name else (None,)
    counted = flop_registry[getattr(torch.ops.aten, name)](x, weight, *between, *rest, 1, out_val=y)
    assert counted == expected == 2 * y.numel() * 16 * 9
