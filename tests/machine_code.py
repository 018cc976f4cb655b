"""Fixtures that read what compilers have made of the kernels; no GPU is needed."""

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from octconv_cuda.build import build_info

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
EMULATION = ROOT / "tests" / "emulation"
ARCHS = ("80", "90a")


class Resources(NamedTuple):
    """What one kernel takes on one architecture; its name is that of an instantiation, mangled."""

    kernel: str
    arch: str
    registers: int
    stack: int  # bytes of a thread's local memory that are not in registers; of LOCAL, too
    shared: int  # static bytes, those of the system included
    local: int


class Kernel(NamedTuple):
    """One instantiation and its machine code."""

    name: str
    code: str

    def __repr__(self) -> str:
        """The name alone: tests that fail print kernels."""
        return self.name

    def count(self, instruction: str) -> int:
        """How often an instruction (a regular expression) stands in the code."""
        return len(re.findall(rf"\b(?:{instruction})\b", self.code))

    def forms(self, instruction: str) -> Counter[str]:
        """The forms of an instruction, such as LDG.E.128 of LDG."""
        return Counter(re.findall(rf"\b{instruction}[.\w]*", self.code))


class MachineCode:
    """All kernels of a library or a fat binary, taken apart by cuobjdump and nvdisasm."""

    def __init__(self, binary: Path, folder: Path, nvcc: Path) -> None:
        self._nvcc = nvcc
        self._folder = folder
        cuobjdump = find_tool("cuobjdump", nvcc)
        text = subprocess.check_output([cuobjdump, "--dump-resource-usage", binary], text=True)
        usage = r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)"
        self.resources = [
            Resources(name, part.split()[0], *map(int, numbers))
            for part in text.split("arch = sm_")[1:]
            for name, *numbers in re.findall(usage, part)
        ]
        extract = [cuobjdump, "--extract-elf", "all", binary.resolve()]
        subprocess.run(extract, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    def kernels(self, name: str, arch: str) -> list[Kernel]:
        """The instantiations of a kernel, or skips the test: no such target was compiled for."""
        files = list(self._folder.glob(f"*sm_{arch}.cubin"))
        if not files:
            pytest.skip(f"no code for sm_{arch}")
        instance = instance_of(name)
        of_name = [path for path in sorted(files) if instance.encode() in path.read_bytes()]
        found = [kernel for path in of_name for kernel in self._disassembled(path)]
        kernels = [kernel for kernel in found if instance in kernel.name]
        assert kernels, f"no {name} for sm_{arch}"
        return kernels

    @functools.cache  # noqa: B019
    def _disassembled(self, cubin: Path) -> list[Kernel]:
        text = subprocess.check_output([find_tool("nvdisasm", self._nvcc), cubin], text=True)
        functions = re.findall(r"\.text\.(\S+):\n(.*?)(?=\n\.text\.|\Z)", text, re.DOTALL)
        return [Kernel(*function) for function in functions]


def instance_of(name: str) -> str:
    """What the mangled name of a kernel's instantiations has in it."""
    return f"{len(name)}{name}I"


def find_tool(name: str, nvcc: Path) -> str:
    """A program that reads machine code: from the PATH, the toolkit, or its PyPI package."""
    packages = Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin")
    folders = [os.environ.get("PATH", ""), str(nvcc.parent), *map(str, packages)]
    tool = shutil.which(name, path=os.pathsep.join(folders))
    if tool is None:
        pytest.skip(f"no {name}")
    return tool


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
def library_code(nvcc: Path, tmp_path_factory: pytest.TempPathFactory) -> MachineCode:
    """The built library's: every instantiation for every target."""
    if build_info().nvcc is None:
        pytest.skip("a library without CUDA kernels")
    return MachineCode(
        ROOT / "octconv_cuda" / "_C.abi3.so", tmp_path_factory.mktemp("library"), nvcc
    )


@pytest.fixture(scope="session")
def gemm_code(
    setup_py: ModuleType, nvcc: Path, tmp_path_factory: pytest.TempPathFactory
) -> MachineCode:
    """That of the tests' own matrix product."""
    extension = setup_py.native_library(nvcc.parents[1], "")
    folder = tmp_path_factory.mktemp("gemm")
    command = [nvcc, "-fatbin", f"-I{CSRC}", *extension.extra_compile_args["nvcc"]]
    command += [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in ARCHS]
    command += ["--expt-relaxed-constexpr", "-Werror=all-warnings", EMULATION / "gpu" / "gemm.cu"]
    subprocess.run([*command, "-o", folder / "gemm.fatbin"], check=True)
    return MachineCode(folder / "gemm.fatbin", folder, nvcc)


def names_of(code: str) -> list[str]:
    """The names of all instructions, in their order."""
    return re.findall(r"^\s+/\*[0-9a-f]{4,5}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9]+)", code, re.MULTILINE)
