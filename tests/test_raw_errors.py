"""The operators refuse for themselves: a raw call never crashes and never gives a wrong shape."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from refusals import BIAS, HIGH, LOW, WEIGHT, Bad, cases, refuse

import octconv_cuda  # noqa: F401  (it loads the operators)

OPS = torch.ops.octconv_cuda
FLAGS = {"size": (6, 6), "stride": 1, "allow_tf32": False}
X = {"x_high": HIGH, "x_low": LOW}
DY = {"dy_high": HIGH, "dy_low": LOW}
EPILOGUE = {
    "scale": BIAS,
    "shift": BIAS,
    "residual_high": HIGH,
    "residual_low": LOW,
    "activation": 1,
}
RAW: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "forward": (OPS.forward, {**X, "weight": WEIGHT, "bias": BIAS, "high_out": 4, **FLAGS}),
    "inference": (
        OPS.inference,
        {**X, "weight": WEIGHT, "bias": BIAS, **EPILOGUE, "high_out": 4, **FLAGS},
    ),
    "input_grad": (OPS.input_grad, {**DY, "weight": WEIGHT, "high_in": 4, **FLAGS}),
    "weight_grad": (OPS.weight_grad, {**X, **DY, "kernel_size": (3, 3), **FLAGS}),
    "pool2x2": (OPS.pool2x2, {"high": HIGH, "low": LOW, "mean": True}),
    "upsample2x2_": (
        OPS.upsample2x2_,
        {"out": HIGH.clone(), "low": LOW, "accumulate": True, "mean": True},
    ),
}
# A native kernel can raise nothing but RuntimeError.
REFUSALS = (ValueError, TypeError, RuntimeError)
BAD_MAPS = {
    "1-d": BIAS,
    "3-d": HIGH[0],
    "5-d": HIGH[None],
    "double": HIGH.double(),
    "int": HIGH.int(),
    "complex": HIGH.cfloat(),
    "sparse": HIGH.to_sparse(),
    "meta": HIGH.to("meta"),
    "batch": HIGH[:1],
    "channels": HIGH[:, :3],
    "larger": torch.randn(2, 4, 9, 9),
}


def bad_operands() -> Iterator[Any]:
    """Each tensor argument of each operator in turn, replaced by what does not fit there."""
    free = {"high", "x_high", "x_low", "dy_high", "dy_low"}  # parts with any number of channels
    for name, (_, good) in RAW.items():
        for argument in (a for a, value in good.items() if isinstance(value, torch.Tensor)):
            for kind, value in BAD_MAPS.items():
                fits = (kind == "1-d" and argument in ("bias", "scale", "shift")) or (
                    kind == "channels" and name in ("pool2x2", "weight_grad") and argument in free
                )
                if not fits:
                    yield pytest.param(name, argument, value, id=f"{name}-{argument}-{kind}")


@pytest.mark.parametrize(("name", "argument", "value"), list(bad_operands()))
def test_raw_operator_refuses_operand(name: str, argument: str, value: Any) -> None:
    operator, good = RAW[name]
    with pytest.raises(REFUSALS, match=f"octconv_cuda::{name}: "):
        operator(**{**good, argument: value})


@pytest.mark.parametrize("name", ["forward", "inference", "input_grad", "weight_grad"])
@cases(
    ("size", {"size": (5, 6)}, ValueError, ("(5, 6)", "(2, 4, 6, 6)")),
    ("size zero", {"size": (0, 0)}, ValueError, ("(0, 0)",)),
    ("size one", {"size": (6,)}, ValueError, ("size must be (H, W)", "(6,)")),
    ("size three", {"size": (6, 6, 6)}, ValueError, ("size must be (H, W)", "(6, 6, 6)")),
    ("size huge", {"size": (2**62, 6)}, ValueError, (str(2**62),)),
    ("stride 0", {"stride": 0}, ValueError, ("stride must be 1 or 2", "0")),
    ("stride 3", {"stride": 3}, ValueError, ("stride must be 1 or 2", "3")),
)
def test_raw_operator_refuses_geometry(name: str, bad: Bad) -> None:
    operator, good = RAW[name]
    bad = bad._replace(error=REFUSALS)
    refuse(lambda **bad: operator(**{**good, **bad}), bad, f"octconv_cuda::{name}: ")


EVEN = torch.randn(8, 8, 2, 2)
NO_CHANNELS = {"dy_high": HIGH[:, :0], "dy_low": LOW[:, :0]}


@pytest.mark.parametrize(
    ("name", "bad", "words"),
    [
        ("forward", {"high_out": -1}, ("high_out must be in [0, 8]", "-1")),
        ("forward", {"high_out": 9}, ("high_out must be in [0, 8]", "9")),
        ("forward", {"weight": EVEN}, ("odd", "(2, 2)")),
        ("forward", {"weight": WEIGHT[:0], "bias": None, "high_out": 0}, ("one channel",)),
        ("forward", {"x_high": None, "x_low": None}, ("x_high and x_low", "neither")),
        ("forward", {"bias": BIAS[:7]}, ("bias must be (8,)", "(7,)")),
        ("input_grad", {"high_in": -1}, ("high_in must be in [0, 8]", "-1")),
        ("input_grad", {"high_in": 9}, ("high_in must be in [0, 8]", "9")),
        ("input_grad", {"weight": EVEN}, ("odd", "(2, 2)")),
        ("input_grad", {**NO_CHANNELS, "weight": WEIGHT[:0]}, ("one channel",)),
        ("weight_grad", {"kernel_size": (2, 3)}, ("odd", "(2, 3)")),
        ("weight_grad", {"kernel_size": (-1, -1)}, ("odd", "(-1, -1)")),
        ("weight_grad", {"kernel_size": (3,)}, ("odd", "(3,)")),
        ("weight_grad", {"kernel_size": (3, 3, 3)}, ("odd", "(3, 3, 3)")),
        ("weight_grad", {"x_high": None, "x_low": None}, ("x_high and x_low", "neither")),
        ("weight_grad", NO_CHANNELS, ("dy must have at least one channel",)),
    ],
)
def test_raw_operator_refuses_split_and_kernel(
    name: str, bad: dict[str, Any], words: tuple[str, ...]
) -> None:
    operator, good = RAW[name]
    with pytest.raises(REFUSALS, match=f"octconv_cuda::{name}: ") as caught:
        operator(**{**good, **bad})
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("forward", "weight"),
        ("input_grad", "dy_high"),
        ("input_grad", "weight"),
        ("weight_grad", "dy_low"),
        ("pool2x2", "high"),
        ("upsample2x2_", "out"),
        ("upsample2x2_", "low"),
    ],
)
def test_raw_operator_refuses_none(name: str, argument: str) -> None:
    """PyTorch's dispatcher lets None pass where a schema says Tensor."""
    operator, good = RAW[name]
    with pytest.raises(REFUSALS):
        operator(**{**good, argument: None})


@pytest.mark.parametrize(
    ("name", "argument"),
    [("pool2x2", "high"), ("pool2x2", "low"), ("upsample2x2_", "low")]
    + [("forward", a) for a in ("x_high", "x_low", "weight", "bias")],
)
def test_native_operator_refuses_freed_storage(name: str, argument: str) -> None:
    """What sharding does to a parameter between its uses."""
    operator, good = RAW[name]
    freed = good[argument].clone()
    freed.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match=f"octconv_cuda::{name}: {argument} must have its data"):
        operator(**{**good, argument: freed})


@pytest.mark.parametrize("name", RAW)
def test_the_good_call_is_good(name: str) -> None:
    """The tables above change one argument of it."""
    operator, good = RAW[name]
    operator(**good)
