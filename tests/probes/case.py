"""What a probe is given and must write, and the table of all probes."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from probes.formats import Format

WARP = np.arange(32)


class Case(NamedTuple):
    """Input and output of a probe, as words of any type."""

    data: np.ndarray
    expected: np.ndarray
    nans: Format | None = None  # the format of the output, if any NaN is as good as another
    tolerance: np.ndarray | None = None  # of float32 outputs; else they must have the same bits

    def difference(self, actual: np.ndarray, wanted: np.ndarray) -> str:
        """How two outputs, given as bytes or words, differ; empty if they do not."""
        words = self.expected.dtype
        actual, wanted = (np.frombuffer(x.tobytes(), words) for x in (actual, wanted))
        if self.nans is None:
            wrong = actual != wanted
        else:
            wrong = self.nans.one_nan(actual) != self.nans.one_nan(wanted)
        if self.tolerance is not None:
            with np.errstate(invalid="ignore"):
                off = np.abs(actual.view(np.float32) - wanted.view(np.float32))
            wrong &= ~(off <= self.tolerance.reshape(-1))
        if not wrong.any():
            return ""
        first = int(np.argmax(wrong))
        return (
            f"{wrong.sum()} of {wrong.size} words, the first at {first}: "
            f"{actual[first]:#x} instead of {wanted[first]:#x}"
        )


Cases = Iterator[tuple[str, Case]]
PROBES: dict[str, Callable[[], Cases]] = {}


def cases(name: str, *arguments: object) -> Callable[[Callable[..., Cases]], Callable[..., Cases]]:
    """Makes a generator that of a probe, called with these arguments."""

    def register(generator: Callable[..., Cases]) -> Callable[..., Cases]:
        PROBES[name] = lambda: generator(*arguments)
        return generator

    return register


def random(dtype: type, *shape: int) -> np.ndarray:
    """Random bits; the same on every call."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(np.random.default_rng(0).bytes(count), dtype).reshape(shape)
