"""What the compilers make of the kernels: registers and machine code; what the library needs."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from octconv_cuda import ops

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
ARCHS = ("80", "90a")
LAUNCHERS = sorted(CSRC.glob("launch/*.cu"))


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def nvcc(setup_py: ModuleType) -> Path:
    cuda_home = setup_py.find_cuda()
    if cuda_home is None:
        pytest.skip("no nvcc")
    return cuda_home / "bin" / "nvcc"


@pytest.fixture(scope="module")
def compiled(
    setup_py: ModuleType, nvcc: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], tuple[str, Path]]:
    """What ptxas says, and the machine code, for each launcher and architecture."""
    extension = setup_py.native_library(nvcc.parents[1], "")
    flags = [*extension.extra_compile_args["nvcc"], "--expt-relaxed-constexpr", "-std=c++17"]
    folder = tmp_path_factory.mktemp("codegen")
    running = {}
    for source in LAUNCHERS:
        for arch in ARCHS:
            cubin = folder / f"{source.stem}_{arch}.cubin"
            command = [nvcc, "-cubin", f"-arch=sm_{arch}", "-Xptxas=-v", f"-I{CSRC}", *flags]
            process = subprocess.Popen(
                [*command, source, "-o", cubin], stderr=subprocess.PIPE, text=True
            )
            running[source.stem, arch] = process, cubin
    results = {}
    for key, (process, cubin) in running.items():
        log = process.communicate()[1]
        assert process.returncode == 0, log
        results[key] = log, cubin
    return results


def disassembler(nvcc: Path) -> str | None:
    """Nvdisasm: from the PATH, the toolkit, or its PyPI package."""
    packages = Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin")
    folders = [os.environ.get("PATH", ""), str(nvcc.parent), *map(str, packages)]
    return shutil.which("nvdisasm", path=os.pathsep.join(folders))


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("name", [source.stem for source in LAUNCHERS])
def test_kernels_keep_everything_in_registers(compiled, name, arch):
    log = compiled[name, arch][0]
    kernels = log.count("Compiling entry function")
    assert kernels > 0
    assert log.count("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads") == kernels
    assert "warning" not in log


@pytest.mark.parametrize("arch", ARCHS)
def test_pool2x2_moves_16_bytes_at_a_time(compiled, nvcc, arch):
    tool = disassembler(nvcc)
    if tool is None:
        pytest.skip("no nvdisasm")
    code = subprocess.check_output(
        [tool, compiled["pool2x2", arch][1]], text=True, stderr=subprocess.DEVNULL
    )
    functions = dict(re.findall(r"\.text\.(\S+):\n(.*?)(?=\n\.text\.|\Z)", code, re.DOTALL))
    vectorised = {name for name in functions if not re.search(r"Li1EE", name)}
    assert len(functions) == 8
    assert len(vectorised) == 4
    for name in vectorised:
        loads, stores = (re.findall(rf"\b{op}[.\w]*", functions[name]) for op in ("LDG", "STG"))
        assert len(loads) == 5  # four pixels of the window, and one of low
        assert all(".128" in access for access in loads + stores), name
    assert not re.search(r"\b(LDL|STL)\b", code)


def test_kernels_use_only_the_instructions_of_ptx():
    """So that another file named <device/ptx.cuh> can run them anywhere."""
    kernels = sorted(CSRC.glob("kernels/*.cuh"))
    assert kernels
    keywords = "global|device|forceinline|restrict|launch_bounds|shared"
    foreign = rf"\basm\b|threadIdx|blockIdx|blockDim|gridDim|<<<|torch|cuda|__(?!({keywords})__)\w+"
    for path in kernels:
        code = re.sub(r"//.*", "", path.read_text())
        assert re.search(foreign, code) is None, path
        assert "#include <device/ptx.cuh>" in code


def test_the_library_depends_on_no_cuda_library():
    """One file serves CPU and CUDA builds of torch, so it may need only what both have."""
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("no readelf")
    library = ROOT / "octconv_cuda" / "_C.abi3.so"
    dynamic = subprocess.check_output([readelf, "-d", library], text=True)
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    assert not {name for name in needed if re.search("cuda|cudart|python", name)}
    # Through libtorch.so the stream of a CUDA build is found.
    assert {"libc10.so", "libtorch.so", "libtorch_cpu.so"} <= needed

    symbols = subprocess.check_output([readelf, "-W", "--dyn-syms", library], text=True)
    undefined = re.findall(r"(GLOBAL|WEAK)\s+\w+\s+UND\s+([\w.]+)", symbols)
    weak = {name for binding, name in undefined if binding == "WEAK" and "torch" in name}
    kernels = "pool2x2" in ops.native_kernels("cuda")
    assert weak == ({"aoti_torch_get_current_cuda_stream"} if kernels else set())
    assert not {name for _, name in undefined if re.match("(__)?cuda|cu[A-Z]", name)}


def test_build_info_names_the_compiler(setup_py, nvcc):
    info = json.loads(torch.ops.octconv_cuda.build_info())
    assert info["torch"].startswith("2.")
    if info["nvcc"] is None:
        pytest.skip("built without kernels")
    assert info["nvcc"] == setup_py.nvcc_version(nvcc.parents[1])
    assert "8.0" in info["archs"].split(";")


def test_nvcc_is_looked_for_where_cuda_home_says_first(setup_py, monkeypatch, tmp_path):
    tool = tmp_path / "bin" / "nvcc"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert setup_py.find_cuda() != tmp_path  # a compiler without its runtime library is of no use
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libcudart_static.a").touch()
    assert setup_py.find_cuda() == tmp_path
    monkeypatch.delenv("CUDA_HOME")
    monkeypatch.setenv("PATH", str(tool.parent))
    assert setup_py.find_cuda() == tmp_path.resolve()
