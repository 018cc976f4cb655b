"""Fixtures that compile kernels for GPUs and read what became of them; no GPU is needed."""

import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
EMULATION = ROOT / "tests" / "emulation"
ARCHS = ("80", "90a")


@dataclass(frozen=True)
class Kernel:
    """One instantiation: what ptxas says of it, and its machine code if there is a disassembler."""

    name: str
    registers: int
    spilled: int  # bytes of stores
    code: str | None

    def count(self, instruction: str) -> int:
        """How often an instruction (a regular expression) stands in the code."""
        if self.code is None:
            pytest.skip("no nvdisasm")
        return len(re.findall(rf"\b(?:{instruction})\b", self.code))

    def forms(self, instruction: str) -> Counter[str]:
        """The forms of an instruction, such as LDG.E.128 of LDG."""
        if self.code is None:
            pytest.skip("no nvdisasm")
        return Counter(re.findall(rf"\b{instruction}[.\w]*", self.code))


@pytest.fixture(scope="session")
def setup_py() -> Iterator[ModuleType]:
    """The build script: it knows where nvcc is and what its flags are."""
    spec = importlib.util.spec_from_file_location("octconv_cuda_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="session")
def nvcc(setup_py: ModuleType) -> Path:
    cuda_home = setup_py.find_cuda()
    if cuda_home is None:
        pytest.skip("no nvcc")
    return cuda_home / "bin" / "nvcc"


@pytest.fixture(scope="session")
def compiled(
    setup_py: ModuleType, nvcc: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path, str], list[Kernel]]:
    """The kernels of a source file for an architecture; each is compiled once."""
    extension = setup_py.native_library(nvcc.parents[1], "")
    flags = [*extension.extra_compile_args["nvcc"], "--expt-relaxed-constexpr", "-std=c++17"]
    folder = tmp_path_factory.mktemp("codegen")
    done: dict[tuple[Path, str], list[Kernel]] = {}

    def kernels_of(source: Path, arch: str) -> list[Kernel]:
        if (source, arch) not in done:
            cubin = folder / f"{source.stem}_{arch}.cubin"
            command = [nvcc, "-cubin", f"-arch=sm_{arch}", "-Xptxas=-v", f"-I{CSRC}", *flags]
            command += [source, "-o", cubin]
            process = subprocess.run(command, capture_output=True, text=True)
            assert process.returncode == 0, process.stderr
            done[source, arch] = kernels(process.stderr, disassembly(cubin, nvcc))
        return done[source, arch]

    return kernels_of


def kernels(log: str, code: str | None) -> list[Kernel]:
    """From the log of ptxas, which must hold no warning."""
    assert "warning" not in log, log
    assert "Potential Performance Loss" not in log, log  # products that wait for each other
    assert "C7519" not in log, log  # fences of products that ptxas found missing
    functions = {}
    if code is not None:
        functions = dict(re.findall(r"\.text\.(\S+):\n(.*?)(?=\n\.text\.|\Z)", code, re.DOTALL))
    result = []
    for entry in log.split("Compiling entry function '")[1:]:
        name = entry.split("'")[0]
        registers = re.search(r"Used (\d+) registers", entry)
        spilled = re.search(r"(\d+) bytes spill stores", entry)
        assert registers is not None
        assert spilled is not None
        result.append(Kernel(name, int(registers[1]), int(spilled[1]), functions.get(name)))
    return result


def find_tool(name: str, nvcc: Path) -> str | None:
    """A program that reads machine code: from the PATH, the toolkit, or its PyPI package."""
    packages = Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin")
    folders = [os.environ.get("PATH", ""), str(nvcc.parent), *map(str, packages)]
    return shutil.which(name, path=os.pathsep.join(folders))


def disassembly(cubin: Path, nvcc: Path) -> str | None:
    """What nvdisasm makes of it; None without nvdisasm."""
    tool = find_tool("nvdisasm", nvcc)
    if tool is None:
        return None
    return subprocess.check_output([tool, cubin], text=True, stderr=subprocess.DEVNULL)


class Resources(NamedTuple):
    """What one kernel of the library takes on one architecture."""

    kernel: str
    arch: str
    registers: int
    stack: int
    local: int


@pytest.fixture(scope="session")
def library_resources(nvcc: Path) -> list[Resources]:
    """Of every kernel in the built library, by cuobjdump."""
    tool = find_tool("cuobjdump", nvcc)
    if tool is None:
        pytest.skip("no cuobjdump")
    library = ROOT / "octconv_cuda" / "_C.abi3.so"
    text = subprocess.check_output([tool, "--dump-resource-usage", library], text=True)
    result = []
    for part in text.split("arch = sm_")[1:]:
        functions = re.findall(
            r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", part
        )
        arch = part.split()[0]
        result += [Resources(name, arch, *map(int, numbers)) for name, *numbers in functions]
    return result
