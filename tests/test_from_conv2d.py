"""OctConv2d.from_conv2d: an octave layer with the parameters of a vanilla one."""

from typing import Any

import pytest
import torch
from networks import assert_same_maps, octave_maps
from torch import nn
from torch.nn.utils import parametrize, prune

from octconv_cuda import OctConv2d, oct_conv2d

MAPS = octave_maps()


def vanilla(**arguments: Any) -> nn.Conv2d:
    return nn.Conv2d(8, 8, **{"kernel_size": 3, "padding": 1, **arguments})


GEOMETRIES: list[dict[str, Any]] = [
    {},
    {"padding": "same"},
    {"kernel_size": (1, 5), "padding": (0, 2)},
    {"kernel_size": 1, "padding": 0, "bias": False},
    {"padding": 2, "dilation": 2},
    {"groups": 2},
    {"groups": 8},
    {"padding_mode": "reflect"},
    {"padding_mode": "replicate"},
    {"padding": "same", "padding_mode": "circular", "dilation": (1, 2)},
]


@pytest.mark.parametrize("arguments", GEOMETRIES, ids=str)
def test_from_conv2d_without_low_parts_is_conv2d(arguments: dict[str, Any]) -> None:
    conv = vanilla(**arguments)
    x = torch.randn(2, 8, 9, 7)
    for maps in (x, x.to(memory_format=torch.channels_last)):
        result = OctConv2d.from_conv2d(conv, 0, 0)(maps)
        assert torch.equal(result, conv(maps))
        assert result.stride() == conv(maps).stride()


@pytest.mark.parametrize("arguments", GEOMETRIES, ids=str)
def test_from_conv2d_computes_with_the_given_parameters(arguments: dict[str, Any]) -> None:
    conv = vanilla(**arguments)
    layer = OctConv2d.from_conv2d(conv)
    geometry = {name: getattr(conv, name) for name in ("dilation", "groups", "padding_mode")}
    expected = oct_conv2d(MAPS, conv.weight, conv.bias, out_channels=(4, 4), **geometry)
    assert_same_maps(layer(MAPS), expected)


def test_from_conv2d_keeps_what_the_convolution_is() -> None:
    conv = vanilla(dtype=torch.float64).requires_grad_(False).eval()
    layer = OctConv2d.from_conv2d(conv, 0.25, alpha_out=0.75)
    assert layer.weight is conv.weight
    assert layer.bias is conv.bias
    assert not layer.weight.requires_grad
    assert not layer.training
    assert (layer.in_split, layer.out_split) == ((6, 2), (2, 6))
    assert OctConv2d.from_conv2d(vanilla(device="meta")).weight.is_meta
    assert OctConv2d.from_conv2d(vanilla(bias=False)).bias is None
    assert OctConv2d.from_conv2d(vanilla()).training


def test_from_conv2d_warns_of_the_other_function_at_stride_2() -> None:
    with pytest.warns(UserWarning, match="pools and then convolves") as record:
        layer = OctConv2d.from_conv2d(vanilla(stride=2))
    assert record[0].filename == __file__
    assert layer.stride == (2, 2)


def test_from_conv2d_refuses_before_it_warns(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(ValueError, match=r"stride must be 1 or 2, got \(3, 3\)"):
        OctConv2d.from_conv2d(vanilla(stride=3))
    assert not recwarn


def test_subclass_comes_from_conv2d_too() -> None:
    class Octave(OctConv2d):
        def forward(self, input: Any, size: Any = None) -> Any:
            return super().forward(input, size)

    layer = Octave.from_conv2d(vanilla())
    assert type(layer) is Octave
    assert isinstance(layer, nn.Conv2d)
    assert layer(MAPS).high.shape == MAPS.high.shape


def test_an_octave_layer_is_refused() -> None:
    """Its split would be lost: converting a network twice must not change it."""
    with pytest.raises(TypeError, match=r"vanilla nn\.Conv2d, got OctConv2d"):
        OctConv2d.from_conv2d(OctConv2d((3, 5), (3, 5), 3))


def test_a_subclass_is_refused() -> None:
    """Its forward would be lost."""

    class Standardized(nn.Conv2d):
        def forward(self, x: Any) -> Any:
            return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)

    with pytest.raises(TypeError, match=r"vanilla nn\.Conv2d, got Standardized"):
        OctConv2d.from_conv2d(Standardized(8, 8, 3, padding=1))


def test_a_lazy_convolution_is_vanilla_once_it_has_run() -> None:
    conv = nn.LazyConv2d(8, 3, padding=1)
    with pytest.raises(TypeError, match="got LazyConv2d"):
        OctConv2d.from_conv2d(conv)
    conv(torch.randn(1, 4, 6, 6))
    assert OctConv2d.from_conv2d(conv).in_split == (2, 2)


@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.parametrize("how", ["parametrized", "pruned"])
def test_what_is_computed_is_refused(name: str, how: str) -> None:
    conv = vanilla()
    if how == "pruned":
        prune.l1_unstructured(conv, name, amount=0.5)
    else:
        parametrize.register_parametrization(conv, name, nn.Identity())
    with pytest.raises(
        ValueError, match=rf"the {name} of conv must be a parameter, .*convert first"
    ):
        OctConv2d.from_conv2d(conv)


@pytest.mark.parametrize(
    "register",
    [
        "register_forward_pre_hook",
        "register_forward_hook",
        "register_full_backward_pre_hook",
        "register_full_backward_hook",
        "register_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
    ],
)
def test_hooks_are_refused(register: str) -> None:
    conv = vanilla()
    handle = getattr(conv, register)(lambda *_: None)
    with pytest.raises(ValueError, match=r"must have no hooks.*convert first"):
        OctConv2d.from_conv2d(conv)
    handle.remove()
    assert OctConv2d.from_conv2d(conv).weight is conv.weight


def test_a_forward_of_its_own_is_refused() -> None:
    conv = vanilla()
    conv.forward = torch.cos
    with pytest.raises(ValueError, match="forward of its own"):
        OctConv2d.from_conv2d(conv)
