"""Fixtures of the emulation of CUDA kernels: compiled once a session, in one mode each."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from emulation import build
from emulation.emulator import Emulator

NO_COMPILER = pytest.mark.skipif(build.COMPILER is None, reason="no g++")
PLAIN = pytest.param("plain", marks=NO_COMPILER)
ASAN = pytest.param("asan", marks=NO_COMPILER)
TSAN = pytest.param("tsan", marks=[NO_COMPILER, pytest.mark.tsan])


def cases_in_modes(*names: str, modes: tuple[Any, ...] = (PLAIN, ASAN)) -> pytest.MarkDecorator:
    """Each case by its name in each mode."""
    return pytest.mark.parametrize(
        ("mode", "name"),
        [
            pytest.param(*mode.values, name, marks=mode.marks, id=f"{name}-{mode.values[0]}")
            for name, mode in itertools.product(names, modes)
        ],
    )


@pytest.fixture(scope="session")
def emulator_in() -> Iterator[Callable[[str], Emulator]]:
    """The emulator of a mode, made when it is first asked for."""
    emulators: dict[str, Emulator] = {}

    def get(mode: str) -> Emulator:
        if mode not in emulators:
            emulators[mode] = Emulator(mode)
        return emulators[mode]

    yield get
    for emulator in emulators.values():
        emulator.close()
