"""Fixtures of the emulation of CUDA kernels: compiled once a session, in one mode each."""

from collections.abc import Callable, Iterator

import pytest
from emulation import build
from emulation.emulator import Emulator

NO_COMPILER = pytest.mark.skipif(build.COMPILER is None, reason="no g++")
PLAIN = pytest.param("plain", marks=NO_COMPILER)
ASAN = pytest.param("asan", marks=NO_COMPILER)
TSAN = pytest.param("tsan", marks=[NO_COMPILER, pytest.mark.tsan])


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
