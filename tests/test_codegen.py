"""What the compilers make of the kernels: registers and machine code; what the library needs."""

import json
import re
import shutil
import subprocess

import pytest
import torch
from machine_code import ARCHS, CSRC, EMULATION, ROOT

from octconv_cuda import ops

POOL2X2 = CSRC / "launch" / "pool2x2.cu"
GEMM = EMULATION / "gpu" / "gemm.cu"

# The most registers that a kernel of a file may take: what its threads an SM are planned with.
REGISTERS = {POOL2X2: 48, GEMM: 80}


def test_every_launcher_has_a_plan():
    assert set(CSRC.glob("launch/*.cu")) <= REGISTERS.keys()


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("source", REGISTERS, ids=lambda source: source.stem)
def test_everything_is_in_registers(compiled, source, arch):
    kernels = compiled(source, arch)  # which looks for spills and stack frames
    assert kernels
    for kernel in kernels:
        assert kernel.registers <= REGISTERS[source], kernel.name
        assert kernel.count("LDL|STL") == 0  # local memory


@pytest.mark.parametrize("arch", ARCHS)
def test_pool2x2_moves_16_bytes_at_a_time(compiled, arch):
    kernels = compiled(POOL2X2, arch)
    vectorised = [kernel for kernel in kernels if not re.search(r"Li1EE", kernel.name)]
    assert len(kernels) == 8
    assert len(vectorised) == 4
    for kernel in vectorised:
        loads, stores = kernel.forms("LDG"), kernel.forms("STG")
        assert loads.total() == 5  # four pixels of the window, and one of low
        assert all(".128" in access for access in [*loads, *stores]), kernel.name


@pytest.mark.parametrize("arch", ARCHS)
def test_gemm_is_made_of_tensor_core_instructions(compiled, arch):
    kernels = compiled(GEMM, arch)
    assert len(kernels) == 3
    for kernel in kernels:
        shape = "1688" if "TFloat32" in kernel.name else "16816"
        # A chunk is four steps of 2 x 4 tiles, of which each operand is loaded once.
        assert kernel.count(rf"HMMA\.{shape}\.F32[.\w]*") == kernel.count("HMMA") == 4 * 2 * 4
        assert kernel.forms("LDSM") == {"LDSM.16.M88.4": 4 * (2 + 2)}
        assert set(kernel.forms("LDGSTS")) == {"LDGSTS.E.BYPASS.128"}
        assert kernel.count("ATOMG.E.ADD.STRONG.GPU") == 1


def test_kernels_use_only_the_instructions_of_ptx():
    """So that another file named <device/ptx.cuh> can run them anywhere."""
    kernels = sorted([*CSRC.glob("kernels/*.cuh"), *EMULATION.glob("kernels/*.cuh")])
    assert len(kernels) >= 2
    keywords = "global|device|forceinline|restrict|launch_bounds"
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
