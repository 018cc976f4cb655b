"""What a call's checks remember: nothing passes that would not have passed alone."""

from typing import Any

import numpy as np
import pytest
import torch
from refusals import BIAS, HIGH, LOW, WEIGHT
from torch import Tensor

from octconv_cuda import OctConv2d, call, oct_conv2d


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operators of the calls that were checked."""
    operators: list[str] = []

    def check(operator: str, *arguments: Any) -> Any:
        operators.append(operator)
        return original(operator, *arguments)

    original = call._check
    monkeypatch.setattr(call, "_check", check)
    monkeypatch.setattr(call, "_passed", {})
    return operators


def test_calls_are_checked_once(checks: list[str]) -> None:
    layer = OctConv2d(8, 8, 3)
    layer((HIGH, LOW))
    assert checks.pop() == "OctConv2d"
    layer((HIGH + 1, LOW.mT.contiguous().mT))
    OctConv2d(8, 8, 3)((HIGH, LOW))
    assert not checks
    for different in (
        lambda: layer((HIGH[:1], LOW[:1])),
        lambda: OctConv2d(8, 8, 3, bias=False)((HIGH, LOW)),
        lambda: OctConv2d(8, (5, 3), 3)((HIGH, LOW)),
        lambda: oct_conv2d((HIGH, LOW), WEIGHT, BIAS, out_channels=(4, 4)),
        lambda: layer.double()((HIGH.double(), LOW.double())),
    ):
        different()
        assert len(checks) == 1
        different()
        assert len(checks) == 1
        checks.clear()


def test_no_more_is_remembered_than_is_used(
    checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "_MOST_PASSED", 4)
    for width in 2 * (*range(1, 7),):
        oct_conv2d((HIGH[..., :width], None), WEIGHT[:, :4], out_channels=(4, 4))
        assert len(call._passed) <= 4
    assert len(checks) == 12


@pytest.mark.parametrize(
    ("like", "error"),
    [
        ({"stride": True}, TypeError),
        ({"stride": 1.0}, TypeError),
        ({"groups": True}, TypeError),
        ({"groups": 1.0}, TypeError),
        ({"out_channels": (4.0, 4)}, TypeError),
        ({"padding": (1, True)}, TypeError),
        ({"input": (HIGH, LOW.to("meta"))}, ValueError),
        ({"input": (HIGH, LOW.double())}, TypeError),
        ({"input": (HIGH, LOW.to_sparse())}, TypeError),
        ({"input": (HIGH.numpy(), LOW)}, TypeError),
        ({"input": (HIGH[..., :4], LOW)}, ValueError),
        ({"weight": None}, TypeError),
        ({"bias": BIAS[:7]}, ValueError),
        ({"out_channels": (4, 5)}, ValueError),
        ({"family": "sm80"}, ValueError),
    ],
)
def test_what_is_like_a_good_call_is_refused_behind_it(
    like: dict[str, Any], error: type[Exception]
) -> None:
    good: dict[str, Any] = {"input": (HIGH, LOW), "weight": WEIGHT, "bias": BIAS}
    good |= {"out_channels": (4, 4), "stride": 1, "groups": 1, "padding": (1, 1)}
    for _ in range(2):
        oct_conv2d(**good)
        with pytest.raises(error):
            oct_conv2d(**good | like)


def test_pairs_may_be_lists() -> None:
    arguments: dict[str, Any] = {"out_channels": [4, 4], "padding": [1, 1], "size": [6, 6]}
    expected = oct_conv2d((HIGH, LOW), WEIGHT, out_channels=(4, 4))
    for _ in range(2):
        result = oct_conv2d((HIGH, LOW), WEIGHT, **arguments)
        assert all(map(torch.equal, result, expected))
    with pytest.raises(ValueError, match="padding must be"):
        oct_conv2d((HIGH, LOW), WEIGHT, **arguments | {"padding": [2, 2]})


def test_what_has_no_bytes_is_checked_each_time(checks: list[str]) -> None:
    size = HIGH.shape[2:]  # a torch.Size, and no tuple to marshal
    for number in range(1, 3):
        oct_conv2d((HIGH, LOW), WEIGHT, out_channels=(4, 4), size=size)
        assert len(checks) == number


def test_a_layers_attributes_count_after_its_first_call() -> None:
    layer = OctConv2d(8, 8, 3)
    layer((HIGH, LOW))
    layer.stride = (2, 2)
    y = layer((HIGH, LOW))
    assert isinstance(y.high, Tensor)
    assert y.high.shape == (2, 4, 3, 3)
    layer.groups = 3
    with pytest.raises(ValueError, match=r"OctConv2d: groups=3"):
        layer((HIGH, LOW))


def test_autocast_is_asked_at_each_call() -> None:
    layer = OctConv2d(8, 8, 3)
    assert layer((HIGH, LOW)).high.dtype == torch.float32
    with torch.autocast("cpu"):
        assert layer((HIGH, LOW)).high.dtype == torch.bfloat16
    assert layer((HIGH, LOW)).high.dtype == torch.float32


def test_bytes_are_not_taken_for_numpys_strings() -> None:
    """Which are bytes to marshal."""
    zeros = np.str_("zeros")
    arguments: dict[str, Any] = {"out_channels": (4, 4)}
    for _ in range(2):
        oct_conv2d((HIGH, LOW), WEIGHT, **arguments, padding_mode=zeros)
        with pytest.raises(TypeError, match="padding_mode must be"):
            oct_conv2d((HIGH, LOW), WEIGHT, **arguments, padding_mode=zeros.encode("utf-32-le"))


def test_autocast_leaves_refusals_to_the_checks() -> None:
    sparse = WEIGHT.to_sparse()
    for tensor in (
        (sparse, WEIGHT.to_mkldnn()) if torch.backends.mkldnn.is_available() else (sparse,)
    ):
        with torch.autocast("cpu"), pytest.raises(TypeError, match="weight must be a dense tensor"):
            oct_conv2d((HIGH, LOW), tensor, out_channels=(4, 4))
