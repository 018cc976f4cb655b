"""Tables of calls that must be refused, and the operands of a call that is good."""

from collections.abc import Callable
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
