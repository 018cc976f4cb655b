"""Tables of calls that must be refused, and the operands of a call that is good."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Bad(NamedTuple):
    """A call that must be refused, by which exception, and words of its text."""

    name: str
    arguments: dict[str, Any]
    error: type[Exception] | tuple[type[Exception], ...]
    words: tuple[str, ...]


def cases(
    *bad: tuple[str, dict[str, Any], type[Exception], tuple[str, ...]],
) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bad", [pytest.param(Bad(*b), id=b[0]) for b in bad])


class NoWork(TorchDispatchMode):
    """No operator may run but those of this package, which are what is called."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        assert func.namespace == "octconv_cuda", f"{func} ran before the refusal"
        return func(*args, **(kwargs or {}))


def refuse(call: Callable[..., Any], bad: Bad, operator: str | tuple[str, ...]) -> None:
    """Asserts that ``call`` refuses ``bad`` in time and in words that begin with ``operator``."""
    with NoWork(), pytest.raises(bad.error) as caught:
        call(**bad.arguments)
    text = str(caught.value)
    assert text.startswith(operator), text
    for word in bad.words:
        assert word in text, text


HIGH, LOW = torch.randn(2, 4, 6, 6), torch.randn(2, 4, 3, 3)
ALL_LOW = torch.randn(2, 8, 3, 3)
WEIGHT, BIAS = torch.randn(8, 8, 3, 3), torch.randn(8)

_FLAGS = {"size": (6, 6), "stride": 1, "allow_tf32": False}
_X = {"x_high": HIGH, "x_low": LOW}
_DY = {"dy_high": HIGH, "dy_low": LOW}
_EPILOGUE = {
    "scale": BIAS,
    "shift": BIAS,
    "residual_high": HIGH,
    "residual_low": LOW,
    "activation": 1,
}
# Arguments that each operator takes.
GOOD: dict[str, dict[str, Any]] = {
    "forward": {**_X, "weight": WEIGHT, "bias": BIAS, "high_out": 4, **_FLAGS},
    "inference": {**_X, "weight": WEIGHT, "bias": BIAS, **_EPILOGUE, "high_out": 4, **_FLAGS},
    "input_grad": {**_DY, "weight": WEIGHT, "high_in": 4, **_FLAGS},
    "weight_grad": {**_X, **_DY, "kernel_size": (3, 3), **_FLAGS},
    "pool2x2": {"high": HIGH, "low": LOW, "mean": True},
    "upsample2x2_": {"out": HIGH.clone(), "low": LOW, "accumulate": True, "mean": True},
}
_BAD_MAPS = {
    "0-d": BIAS[0],
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


def bad_operands(*operators: str, without: tuple[str, ...] = ()) -> Iterator[Any]:
    """Each tensor argument of each operator in turn, replaced by what does not fit there.

    Yields (operator, argument, value) as parameters of a test.
    """
    free = {"high", "x_high", "x_low", "dy_high", "dy_low"}  # parts with any number of channels
    for name in operators:
        for argument in (a for a, value in GOOD[name].items() if isinstance(value, torch.Tensor)):
            for kind, value in _BAD_MAPS.items():
                fits = (kind == "1-d" and argument in ("bias", "scale", "shift")) or (
                    kind == "channels" and name in ("pool2x2", "weight_grad") and argument in free
                )
                if not fits and kind not in without:
                    yield pytest.param(name, argument, value, id=f"{name}-{argument}-{kind}")
