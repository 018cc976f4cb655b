"""The operators on CUDA, launched in the emulation: as on an H100, for tensors on the CPU."""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from emulation.emulator import Run
from emulation.operators import build
from kernel_checks import Platform

SCHEDULES = ("order", "shuffle", "priorities")


class Launch(NamedTuple):
    """One launch of a kernel, which is named after its parameters."""

    params: str
    blocks: int
    cluster: int
    overlaps: bool


class EmulatedOperators:
    """A library, loaded once. Its ``platform`` goes where tests take one."""

    def __init__(self, path: Path, name: str = "octconv_emulated") -> None:
        self.of_ptx = name != "octconv_emulated"
        torch.ops.load_library(path)  # type: ignore[no-untyped-call]
        self._library = ctypes.CDLL(str(path))
        self._library.emulated_launches.restype = ctypes.c_char_p
        self.ops = getattr(torch.ops, name)
        self.platform = Platform(self.ops, torch.device("cpu"), (9, 0))
        self.begin()

    def begin(self, run: Run | None = None, *, room: bool = True) -> None:
        """A device on which nothing has run; ``room``: for clusters."""
        schedule, late, seed, resident_blocks, _ = run or Run()
        index = SCHEDULES.index(schedule)
        self._library.emulated_begin(index, late, seed, resident_blocks, room)

    def refuse(self, params: str, *, for_memory: bool = False) -> None:
        """From now on the code of kernels with such parameters does not load.

        A thread that has asked for it before knows better: it takes a new one.
        """
        self._library.emulated_refuse(params.encode(), for_memory)

    def launches(self) -> list[Launch]:
        """What was launched since ``begin``."""
        lines = self._library.emulated_launches().decode().splitlines()
        launches = []
        for line in lines:
            params, *numbers = line.split()
            blocks, cluster, overlaps, translated = map(int, numbers)
            assert translated == self.of_ptx, params
            launches.append(Launch(params, blocks, cluster, bool(overlaps)))
        return launches

    def questions(self) -> int:
        """How often the runtime was asked, since ``begin``, for what does not change."""
        asked: int = self._library.emulated_questions()
        return asked

    def maps(self) -> int:
        """How many tensor maps the driver has made since ``begin``."""
        made: int = self._library.emulated_maps()
        return made


@pytest.fixture(scope="session", params=["cpp", "ptx"])
def emulated_library(request: pytest.FixtureRequest) -> EmulatedOperators:
    """Of kernels in C++, and of kernels as nvcc has compiled them."""
    if request.param == "cpp":
        return EmulatedOperators(build.build())
    name, translations = "octconv_ptx", request.getfixturevalue("translations")
    return EmulatedOperators(build.build(name, translations), name)


# For tests of what comes before a launch, and for long ones.
IN_CPP = pytest.mark.parametrize("emulated_library", ["cpp"], indirect=True)


@pytest.fixture
def emulated(emulated_library: EmulatedOperators) -> Iterator[EmulatedOperators]:
    """With a new device."""
    emulated_library.begin()
    yield emulated_library
    emulated_library.launches()  # all of them of kernels of the library's kind
