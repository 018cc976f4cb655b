"""Fixtures of the emulation of CUDA kernels: compiled once a session, in one mode each."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from emulation import build
from emulation.emulator import Emulator
from emulation.ptx import build as ptx

NO_COMPILER = pytest.mark.skipif(build.COMPILER is None, reason="no g++")
PLAIN = pytest.param("plain", marks=NO_COMPILER)
ASAN = pytest.param("asan", marks=NO_COMPILER)
TSAN = pytest.param("tsan", marks=[NO_COMPILER, pytest.mark.tsan])
NVCC = "13.0"  # all of whose PTX is understood
PTX = pytest.param("ptx", marks=NO_COMPILER)  # as "plain", of what nvcc has made of the kernels


def cases_in_modes(
    *names: str, modes: tuple[Any, ...] = (PLAIN, ASAN, PTX)
) -> pytest.MarkDecorator:
    """Each case by its name in each mode."""
    return pytest.mark.parametrize(
        ("mode", "name"),
        [
            pytest.param(*mode.values, name, marks=mode.marks, id=f"{name}-{mode.values[0]}")
            for name, mode in itertools.product(names, modes)
        ],
    )


@pytest.fixture(scope="session")
def translations(setup_py: ModuleType, nvcc: Path) -> list[Path]:
    """All kernels translated from PTX, which nvcc makes as it does for the library."""
    version = setup_py.nvcc_version(nvcc.parents[1])
    flags = setup_py.native_library(nvcc.parents[1], "").extra_compile_args["nvcc"]
    flags = [*flags, "--expt-relaxed-constexpr", f"-DNVCC={version}"]  # another one runs again
    launchers = sorted((build.ROOT / "csrc" / "launch").glob("*.cu"))
    probes = build.HERE / "gpu" / "probes.cu"
    files = ptx.compile_ptx(nvcc, flags, [*launchers, probes])
    try:
        return ptx.objects(files)
    except (ValueError, RuntimeError) as error:
        if version == NVCC:
            raise
        pytest.skip(f"PTX of nvcc {version}, not of {NVCC}: {error}")


@pytest.fixture(scope="session")
def emulator_in(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Emulator]]:
    """The emulator of a mode, made when it is first asked for."""
    emulators: dict[str, Emulator] = {}

    def get(mode: str) -> Emulator:
        if mode not in emulators:
            of_ptx = mode == "ptx"
            emulators[mode] = Emulator(
                mode, request.getfixturevalue("translations") if of_ptx else ()
            )
        return emulators[mode]

    yield get
    for emulator in emulators.values():
        emulator.close()
