"""Bad input raises before any work, with operator, expectation and value in the text."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from refusals import ALL_LOW, BIAS, HIGH, LOW, WEIGHT, Bad, cases, refuse
from torch import nn

from octconv_cuda import OctConv2d, explain, oct_conv2d, split_channels

NAN = float("nan")
NESTED = torch.nested.nested_tensor([*HIGH])
GOOD: dict[str, Any] = {
    "input": (HIGH, LOW),
    "weight": WEIGHT,
    "bias": BIAS,
    "out_channels": (4, 4),
}


def pair(**to: Any) -> dict[str, Any]:
    return {"input": (HIGH.to(**to), LOW.to(**to))}


FUNCTION_CASES = cases(
    # the input
    ("nothing", {"input": None}, TypeError, ("tensor or a (high, low) pair", "NoneType")),
    ("array", {"input": HIGH.numpy()}, TypeError, ("tensor or a (high, low) pair", "ndarray")),
    ("arrays", {"input": (HIGH.numpy(), LOW.numpy())}, TypeError, ("x_high", "ndarray")),
    ("low array", {"input": (HIGH, LOW.numpy())}, TypeError, ("x_low", "ndarray")),
    ("three parts", {"input": (HIGH, LOW, LOW)}, TypeError, ("(high, low) pair", "tuple")),
    ("no parts", {"input": (None, None)}, ValueError, ("x_high and x_low", "neither")),
    ("no channels", {"input": (HIGH[:, :0], LOW[:, :0])}, ValueError, ("one channel", "none")),
    ("int", pair(dtype=torch.int32), TypeError, ("x_high must be float32", "int32")),
    ("bool", pair(dtype=torch.bool), TypeError, ("x_high must be float32", "bool")),
    ("complex", pair(dtype=torch.cfloat), TypeError, ("x_high must be float32", "complex64")),
    ("float8", pair(dtype=torch.float8_e5m2), TypeError, ("must be float32", "float8_e5m2")),
    ("sparse", {"input": (HIGH.to_sparse(), LOW)}, TypeError, ("dense", "sparse_coo")),
    ("sparse low", {"input": (HIGH, LOW.to_sparse())}, TypeError, ("x_low", "sparse_coo")),
    ("nested", {"input": (NESTED, LOW)}, TypeError, ("x_high", "dense", "nested")),
    ("mkldnn", {"input": (HIGH.to_mkldnn(), LOW)}, TypeError, ("dense", "_mkldnn")),
    ("3-d", {"input": (HIGH[0], LOW[0])}, ValueError, ("(N, C, H, W)", "(4, 6, 6)")),
    ("5-d", {"input": (HIGH[None], LOW)}, ValueError, ("(N, C, H, W)", "(1, 2, 4, 6, 6)")),
    ("no height", {"input": (HIGH[:, :, :0], LOW)}, ValueError, ("positive", "(0, 6)")),
    ("no width", {"input": (None, ALL_LOW[..., :0])}, ValueError, ("positive", "(6, 0)")),
    # parts that do not belong together
    ("ratio", {"input": (HIGH, LOW[..., :2])}, ValueError, ("x_low must be (2, 4, 3, 3)", "3, 2)")),
    ("same size", {"input": (HIGH, HIGH)}, ValueError, ("(2, 4, 3, 3)", "got (2, 4, 6, 6)")),
    ("swapped", {"input": (LOW, HIGH)}, ValueError, ("x_low must be (2, 4, 2, 2)", "6, 6)")),
    ("batch", {"input": (HIGH[:1], LOW)}, ValueError, ("x_low must be (1,", "got (2,")),
    ("dtypes", {"input": (HIGH, LOW.half())}, TypeError, ("x_low", "float32", "float16")),
    ("devices", {"input": (HIGH, LOW.to("meta"))}, ValueError, ("x_low", "cpu", "meta")),
    # the weight and the bias
    ("weight array", {"weight": WEIGHT.numpy()}, TypeError, ("weight", "ndarray")),
    ("weight None", {"weight": None}, TypeError, ("weight", "NoneType")),
    ("weight sparse", {"weight": WEIGHT.to_sparse()}, TypeError, ("weight", "sparse_coo")),
    ("weight 3-d", {"weight": WEIGHT[0]}, ValueError, ("weight must be (C_out", "(8, 3, 3)")),
    ("weight dtype", {"weight": WEIGHT.double()}, TypeError, ("weight", "float32", "float64")),
    ("weight device", {"weight": WEIGHT.to("meta")}, ValueError, ("weight", "cpu", "meta")),
    ("weight columns", {"weight": WEIGHT[:, :7]}, ValueError, ("(8, 8, k_h", "(8, 7, 3, 3)")),
    ("weight rows", {"weight": WEIGHT[:7]}, ValueError, ("(8, 8, k_h", "(7, 8, 3, 3)")),
    ("missing low", {"input": HIGH}, ValueError, ("(4, 0) (high, low) inputs", "(8, 8, 3, 3)")),
    ("even kernel", {"weight": torch.randn(8, 8, 3, 2)}, ValueError, ("odd", "(3, 2)")),
    ("no kernel", {"weight": torch.randn(8, 8, 0, 0)}, ValueError, ("odd", "(0, 0)")),
    ("bias number", {"bias": 1.0}, TypeError, ("bias must be a tensor", "float")),
    ("bias array", {"bias": BIAS.numpy()}, TypeError, ("bias must be a tensor", "ndarray")),
    ("bias sparse", {"bias": BIAS.to_sparse()}, TypeError, ("bias", "sparse_coo")),
    ("bias 2-d", {"bias": BIAS[None]}, ValueError, ("bias must be (8,)", "(1, 8)")),
    ("bias column", {"bias": BIAS[:, None]}, ValueError, ("bias must be (8,)", "(8, 1)")),
    ("bias short", {"bias": BIAS[:7]}, ValueError, ("bias must be (8,)", "(7,)")),
    ("bias dtype", {"bias": BIAS.double()}, TypeError, ("bias", "float32", "float64")),
    ("bias device", {"bias": BIAS.to("meta")}, ValueError, ("bias", "cpu", "meta")),
    # the channel split
    ("out int", {"out_channels": 8}, TypeError, ("out_channels", "pair of ints", "8")),
    ("out None", {"out_channels": None}, TypeError, ("out_channels", "None")),
    ("out floats", {"out_channels": (4.0, 4.0)}, TypeError, ("out_channels", "(4.0, 4.0)")),
    ("out bool", {"out_channels": (True, 7)}, TypeError, ("out_channels", "(True, 7)")),
    ("out three", {"out_channels": (4, 4, 0)}, TypeError, ("a (high, low) pair", "(4, 4, 0)")),
    ("out sum", {"out_channels": (4, 5)}, ValueError, ("(9, 8, k_h", "(8, 8, 3, 3)")),
    ("out negative", {"out_channels": (-1, 9)}, ValueError, ("negative", "(-1, 9)")),
    # the geometry
    ("stride 0", {"stride": 0}, ValueError, ("stride must be 1 or 2", "0")),
    ("stride 3", {"stride": 3}, ValueError, ("stride must be 1 or 2", "3")),
    ("strides", {"stride": (1, 2)}, ValueError, ("stride must be 1 or 2", "(1, 2)")),
    ("stride float", {"stride": 1.0}, TypeError, ("stride must be an int", "1.0")),
    ("stride bool", {"stride": True}, TypeError, ("stride must be an int", "True")),
    ("padding 0", {"padding": 0}, ValueError, ("'same'", "(1, 1)", "got 0")),
    ("paddings", {"padding": (1, 0)}, ValueError, ("'same'", "(1, 1)", "got (1, 0)")),
    ("padding valid", {"padding": "valid"}, ValueError, ("'same'", "'valid'")),
    ("padding float", {"padding": 1.0}, TypeError, ("'same', an int", "1.0")),
    ("padding None", {"padding": None}, TypeError, ("'same', an int", "None")),
    ("dilation 0", {"dilation": 0}, ValueError, ("dilation must be at least 1", "0")),
    ("dilations", {"dilation": (1, 0)}, ValueError, ("dilation must be at least 1", "(1, 0)")),
    ("dilation float", {"dilation": 1.5}, TypeError, ("dilation must be an int", "1.5")),
    ("dilated", {"dilation": 2, "padding": 1}, ValueError, ("'same'", "(2, 2)", "got 1")),
    ("groups 0", {"groups": 0}, ValueError, ("groups must be at least 1", "0")),
    ("groups float", {"groups": 2.0}, TypeError, ("groups must be an int", "2.0")),
    ("groups", {"groups": 3}, ValueError, ("groups=3 must divide", "(4, 4)")),
    ("depthwise", {"groups": 8, "out_channels": (6, 2)}, ValueError, ("depthwise", "(6, 2)")),
    ("mode", {"padding_mode": "same"}, ValueError, ("padding_mode", "'reflect'", "'same'")),
    ("mode None", {"padding_mode": None}, TypeError, ("padding_mode", "None")),
    # the size
    ("size int", {"size": 6}, TypeError, ("size must be (H, W)", "6")),
    ("size three", {"size": (6, 6, 6)}, TypeError, ("size must be (H, W)", "(6, 6, 6)")),
    ("size floats", {"size": (6.0, 6)}, TypeError, ("size must be (H, W)", "(6.0, 6)")),
    ("size word", {"size": "66"}, TypeError, ("size must be (H, W)", "'66'")),
    ("size negative", {"size": (-6, 6)}, ValueError, ("positive", "(-6, 6)")),
    ("size contradicts", {"size": (5, 6)}, ValueError, ("x_high", "(5, 6)", "(2, 4, 6, 6)")),
    (
        "size contradicts low",
        {"input": (None, ALL_LOW), "size": (7, 6)},
        ValueError,
        ("x_low must be (2, 8, 4, 3)", "size (7, 6)", "got (2, 8, 3, 3)"),
    ),
    (
        "reflect narrow",
        {"input": (HIGH[..., :2], LOW[..., :1]), "padding_mode": "reflect"},
        ValueError,
        ("'reflect' pads (1, 1)", "(2, 0)", "(3, 1) pixels"),
    ),
    (
        "reflect behind a pool",
        {"input": (HIGH[..., :4, :4], LOW[..., :2, :2]), "stride": 2, "padding_mode": "reflect"},
        ValueError,
        ("'reflect' pads (1, 1)", "(0, 0)", "(1, 1) pixels"),
    ),
    (
        "reflect low in",
        {
            "input": (HIGH[..., :2, :2], LOW[..., :1, :1]),
            "out_channels": (8, 0),
            "padding_mode": "reflect",
        },
        ValueError,
        ("'reflect' pads (1, 1)", "(0, 0)", "(1, 1) pixels"),
    ),
    (
        "reflect too small",
        {"input": (HIGH[..., :2, :2], LOW[..., :1, :1]), "padding_mode": "reflect"},
        ValueError,
        ("'reflect' pads (1, 1)", "(0, 0)", "(1, 1) pixels"),
    ),
)


@FUNCTION_CASES
@pytest.mark.parametrize("function", [oct_conv2d, explain], ids=["oct_conv2d", "explain"])
def test_function_refuses(function: Callable[..., Any], bad: Bad) -> None:
    refuse(lambda **bad: function(**{**GOOD, **bad}), bad, f"{function.__name__}: ")


def test_the_good_call_is_good() -> None:
    """The tables above and below change one argument of a call that works."""
    assert oct_conv2d(**GOOD).high.shape == (2, 4, 6, 6)
    assert OctConv2d(8, 8, 3)((HIGH, LOW)).high.shape == (2, 4, 6, 6)


@cases(
    ("alpha negative", {"alpha_in": -0.1}, ValueError, ("in_channels", "[0, 1]", "-0.1")),
    ("alpha 1.1", {"alpha_out": 1.1}, ValueError, ("out_channels", "[0, 1]", "1.1")),
    ("alpha nan", {"alpha_in": NAN}, ValueError, ("in_channels", "[0, 1]", "nan")),
    ("alpha inf", {"alpha_out": float("inf")}, ValueError, ("out_channels", "[0, 1]", "inf")),
    ("alpha word", {"alpha_in": "0.5"}, TypeError, ("alpha must be a number", "'0.5'")),
    ("alpha list", {"alpha_in": [0.5]}, TypeError, ("alpha must be a number", "[0.5]")),
    (
        "alpha and pair",
        {"in_channels": (4, 4), "alpha_in": 0.5},
        ValueError,
        ("in_channels=(4, 4)", "None", "0.5"),
    ),
    ("no channels", {"in_channels": 0}, ValueError, ("in_channels", "at least 1", "0")),
    ("negative", {"out_channels": -8}, ValueError, ("out_channels", "at least 1", "-8")),
    ("float", {"in_channels": 8.0}, TypeError, ("in_channels", "pair of ints", "8.0")),
    ("bool", {"in_channels": True}, TypeError, ("in_channels", "pair of ints", "True")),
    ("numpy", {"in_channels": np.float32(8)}, TypeError, ("in_channels", "8.0")),
    ("three parts", {"in_channels": (4, 4, 4)}, TypeError, ("in_channels", "(4, 4, 4)")),
    ("negative part", {"in_channels": (9, -1)}, ValueError, ("negative", "(9, -1)")),
    ("empty pair", {"out_channels": (0, 0)}, ValueError, ("one channel", "(0, 0)")),
    ("bool in pair", {"out_channels": (4, True)}, TypeError, ("out_channels", "(4, True)")),
    ("even", {"kernel_size": 2}, ValueError, ("odd", "2:1", "2")),
    ("one even", {"kernel_size": (3, 4)}, ValueError, ("odd", "2:1", "(3, 4)")),
    ("kernel 0", {"kernel_size": 0}, ValueError, ("odd", "0")),
    ("kernel negative", {"kernel_size": -3}, ValueError, ("odd", "-3")),
    ("kernel float", {"kernel_size": 3.0}, TypeError, ("kernel_size must be an int", "3.0")),
    ("kernel bool", {"kernel_size": True}, TypeError, ("kernel_size must be an int", "True")),
    ("kernel 3-d", {"kernel_size": (3, 3, 3)}, TypeError, ("kernel_size", "(3, 3, 3)")),
    ("stride", {"stride": 3}, ValueError, ("stride must be 1 or 2", "3")),
    ("padding", {"padding": 0}, ValueError, ("'same'", "2:1", "got 0")),
    ("dilated", {"padding": 1, "dilation": 2}, ValueError, ("'same'", "(2, 2)", "got 1")),
    ("dilation", {"dilation": 0}, ValueError, ("dilation must be at least 1", "0")),
    ("groups", {"groups": 3}, ValueError, ("groups=3 must divide", "(4, 4)")),
    ("groups split", {"groups": 4, "alpha_in": 0.25}, ValueError, ("must divide", "(6, 2)")),
    ("groups 0", {"groups": 0}, ValueError, ("groups must be at least 1", "0")),
    ("depthwise", {"groups": 8, "out_channels": 12}, ValueError, ("depthwise", "(6, 6)")),
    ("mode", {"padding_mode": "mirror"}, ValueError, ("padding_mode", "'mirror'")),
    ("padding array", {"padding": np.ones(2)}, TypeError, ("padding must be 'same'", "array([")),
    ("mode array", {"padding_mode": np.ones(2)}, TypeError, ("padding_mode", "array([")),
    ("family array", {"family": np.ones(2)}, TypeError, ("family must be None", "array([")),
)
def test_constructor_refuses(bad: Bad) -> None:
    good = {"in_channels": 8, "out_channels": 8, "kernel_size": 3}
    refuse(lambda **bad: OctConv2d(**{**good, **bad}), bad, "OctConv2d: ")


@cases(
    ("nothing", {"input": None}, TypeError, ("OctConv2d: input", "NoneType")),
    ("three", {"input": (HIGH, LOW, LOW)}, TypeError, ("OctConv2d: input", "tuple")),
    ("missing low", {"input": HIGH}, ValueError, ("OctConv2d: the low", "4", "missing")),
    ("missing high", {"input": (None, LOW)}, ValueError, ("the high", "4", "missing")),
    ("other split", {"input": (HIGH[:, :3], LOW)}, ValueError, ("(4, 4)", "(2, 3, 6, 6)")),
    ("bare", {"input": torch.randn(2, 8, 6, 6)}, ValueError, ("(4, 4)", "(2, 8, 6, 6)")),
    ("arrays", {"input": (HIGH.numpy(), LOW)}, TypeError, ("x_high", "ndarray")),
    ("3-d", {"input": (HIGH[0], LOW[0])}, ValueError, ("(N, C, H, W)", "(4, 6, 6)")),
    ("dtype", pair(dtype=torch.float64), TypeError, ("weight", "float64", "float32")),
    ("device", pair(device="meta"), ValueError, ("weight", "meta", "cpu")),
    ("size", {"size": (7, 6)}, ValueError, ("size (7, 6)", "(2, 4, 6, 6)")),
)
@pytest.mark.parametrize("method", ["forward", "explain"])
def test_module_call_refuses(bad: Bad, method: str) -> None:
    layer = OctConv2d(8, 8, 3)
    call = getattr(layer, method)
    refuse(lambda **bad: call(**{"input": (HIGH, LOW), **bad}), bad, "OctConv2d: ")


@cases(
    ("negative", {"channels": 8, "alpha": -0.1}, ValueError, ("[0, 1]", "-0.1")),
    ("nan", {"channels": 8, "alpha": NAN}, ValueError, ("[0, 1]", "nan")),
    ("none", {"channels": 8, "alpha": None}, TypeError, ("number", "None")),
    ("word", {"channels": "8", "alpha": 0.5}, TypeError, ("int", "'8'")),
    ("float", {"channels": 8.0, "alpha": 0.5}, TypeError, ("int", "8.0")),
    ("bool", {"channels": True, "alpha": 0.5}, TypeError, ("int", "True")),
    ("zero", {"channels": 0, "alpha": 0.5}, ValueError, ("at least 1", "0")),
)
def test_split_channels_refuses(bad: Bad) -> None:
    refuse(split_channels, bad, "split_channels: ")


@cases(
    ("nothing", {"conv": None}, TypeError, ("nn.Conv2d", "NoneType")),
    ("linear", {"conv": nn.Linear(8, 8)}, TypeError, ("nn.Conv2d", "Linear")),
    ("1-d", {"conv": nn.Conv1d(8, 8, 3, padding=1)}, TypeError, ("nn.Conv2d", "Conv1d")),
    (
        "transposed",
        {"conv": nn.ConvTranspose2d(8, 8, 3, padding=1)},
        TypeError,
        ("nn.Conv2d", "ConvTranspose2d"),
    ),
    ("padding", {"conv": nn.Conv2d(8, 8, 3)}, ValueError, ("'same'", "(1, 1)", "(0, 0)")),
    ("valid", {"conv": nn.Conv2d(8, 8, 3, padding="valid")}, ValueError, ("'same'", "'valid'")),
    ("even", {"conv": nn.Conv2d(8, 8, 4, padding="same")}, ValueError, ("odd", "(4, 4)")),
    ("groups", {"conv": nn.Conv2d(6, 6, 1, groups=2)}, ValueError, ("groups=2", "(3, 3)")),
    (
        "alpha",
        {"conv": nn.Conv2d(8, 8, 1), "alpha_in": 2},
        ValueError,
        ("in_channels", "[0, 1]", "2"),
    ),
    (
        "parametrized",
        {"conv": nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1))},
        ValueError,
        ("must be a parameter", "computed"),
    ),
)
def test_from_conv2d_refuses(bad: Bad) -> None:
    with pytest.raises(bad.error) as caught:
        OctConv2d.from_conv2d(**bad.arguments)
    assert all(word in str(caught.value) for word in bad.words), caught.value
