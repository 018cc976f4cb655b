"""The operators refuse for themselves: a raw call never crashes and never gives a wrong shape."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from refusals import BIAS, GOOD, HIGH, LOW, WEIGHT, Bad, bad_operands, cases, refuse

import octconv_cuda  # noqa: F401  (it loads the operators)

OPS = torch.ops.octconv_cuda
RAW: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    name: (getattr(OPS, name), arguments) for name, arguments in GOOD.items()
}
# A native kernel can raise nothing but RuntimeError.
REFUSALS = (ValueError, TypeError, RuntimeError)


@pytest.mark.parametrize(("name", "argument", "value"), list(bad_operands(*RAW)))
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
HUGE = torch.zeros(1, 8, 1, 1).expand(2**31, 8, 1, 1)  # rows that lie upon each other
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
        ("forward", {"weight": HUGE, "bias": None}, ("weight must be below 2^31", str(2**31))),
        ("input_grad", {"high_in": -1}, ("high_in must be in [0, 8]", "-1")),
        ("input_grad", {"high_in": 9}, ("high_in must be in [0, 8]", "9")),
        ("input_grad", {"weight": EVEN}, ("odd", "(2, 2)")),
        ("input_grad", {**NO_CHANNELS, "weight": WEIGHT[:0]}, ("one channel",)),
        ("weight_grad", {"kernel_size": (2, 3)}, ("odd", "(2, 3)")),
        ("weight_grad", {"kernel_size": (-1, -1)}, ("odd", "(-1, -1)")),
        ("weight_grad", {"kernel_size": (3,)}, ("odd", "(3,)")),
        ("weight_grad", {"kernel_size": (3, 3, 3)}, ("odd", "(3, 3, 3)")),
        ("weight_grad", {"x_high": None, "x_low": None}, ("x_high and x_low", "neither")),
        (
            "weight_grad",
            {"dy_high": HIGH.double(), "dy_low": LOW.double()},
            ("dy_high must have the dtype of x, torch.float32", "float64"),
        ),
        (
            "weight_grad",
            {"dy_high": HIGH[:1], "dy_low": LOW[:1]},
            ("dy_high must have the batch of x, 2", "1"),
        ),
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
    [
        (name, argument)
        for name, arguments in GOOD.items()
        for argument, value in arguments.items()
        if isinstance(value, torch.Tensor) and (name, argument) != ("upsample2x2_", "out")
    ],
)
def test_operator_refuses_freed_storage(name: str, argument: str) -> None:
    """What sharding does to a parameter between its uses."""
    operator, good = RAW[name]
    freed = good[argument].clone()
    freed.untyped_storage().resize_(0)
    with pytest.raises(REFUSALS, match=f"octconv_cuda::{name}: {argument} must have its data"):
        operator(**{**good, argument: freed})


@pytest.mark.parametrize("name", ["input_grad", "weight_grad"])
def test_a_batch_of_none_has_no_storage_and_needs_none(name: str) -> None:
    operator, good = RAW[name]
    empty = {
        argument: torch.empty(0, *value.shape[1:])
        for argument, value in good.items()
        if argument in ("x_high", "x_low", "dy_high", "dy_low")
    }
    operator(**{**good, **empty})


@pytest.mark.parametrize("name", RAW)
def test_the_good_call_is_good(name: str) -> None:
    """The tables above change one argument of it."""
    operator, good = RAW[name]
    operator(**good)
