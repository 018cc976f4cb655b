"""What the library is built with, for which cards, and what it needs."""

import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from machine_code import ROOT
from torch.utils import cpp_extension

from octconv_cuda import ops
from octconv_cuda.build import build_info


@pytest.mark.parametrize(
    ("archs", "targets"),
    [
        ("8.0;9.0a;8.0+PTX", "8.0;9.0a;8.0+PTX"),
        ("8.6 9.0+PTX", "8.6;9.0a;8.0+PTX"),
        ("7.5 8.0 8.6 9.0 10.0 12.0+PTX", "8.0;8.6;9.0a;10.0;12.0+PTX"),
        ("9.0;9.0a", "9.0a"),
        ("9.0a+PTX", "9.0a;8.0+PTX"),
    ],
)
def test_targets(setup_py: ModuleType, archs: str, targets: str) -> None:
    assert setup_py.checked_archs(archs) == targets


def test_targets_that_are_all_too_old(setup_py: ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"from 8\.0 on, got '5\.2;7\.5\+PTX'; an empty"):
        setup_py.checked_archs("5.2;7.5+PTX")


@pytest.mark.parametrize("archs", ["Hopper", "8.0;12.0f", "80", "8.0;;9.0a", "native"])
def test_targets_that_no_card_can_be_compared_with(setup_py: ModuleType, archs: str) -> None:
    with pytest.raises(RuntimeError, match=f"TORCH_CUDA_ARCH_LIST must have .* got '{archs}'"):
        setup_py.checked_archs(archs)


def test_build_info() -> None:
    info = build_info()
    assert info.torch
    assert bool(info.nvcc) == bool(info.archs)


def test_build_info_names_the_compiler(setup_py: ModuleType, nvcc: Path) -> None:
    info = build_info()
    assert info.torch.startswith("2.")
    if info.nvcc is None:
        pytest.skip("built without kernels")
    assert info.nvcc == setup_py.nvcc_version(nvcc.parents[1])


@pytest.mark.parametrize(
    ("version", "archs", "poor"),
    [
        *(("12.9", "9.0a", False), ("13.2", "8.0;9.0a", False), ("13.3", "8.0;9.0a", True)),
        *(("13.5", "8.0;9.0;8.0+PTX", False), ("14.0", "9.0a", True)),
    ],
)
def test_compilers_that_make_poor_code(
    setup_py: ModuleType, version: str, archs: str, poor: bool
) -> None:
    assert setup_py.makes_poor_code(version, archs) == poor


def test_headers_that_the_compiler_knows_are_not_named(
    setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert setup_py.cuda_headers(Path("/usr")) == [
        Path(f"/usr/{target}/include") for target in setup_py.TARGETS
    ]
    assert Path("/opt/cuda/include") in setup_py.cuda_headers(Path("/opt/cuda"))


def make_toolkit(folder: Path, version: str, *, with_runtime: bool = True) -> Path:
    """A toolkit that says of itself that it is of a version, and can do nothing."""
    tool = folder / "bin" / "nvcc"
    tool.parent.mkdir(parents=True)
    tool.write_text(f"#!/bin/sh\necho Cuda compilation tools, release {version}, V{version}.0\n")
    tool.chmod(0o755)
    if with_runtime:
        (folder / "lib").mkdir()
        (folder / "lib" / "libcudart_static.a").touch()
    return folder


def test_nvcc_is_looked_for_where_cuda_home_says_alone(
    setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toolkit = make_toolkit(tmp_path / "new", "12.5")
    monkeypatch.setenv("PATH", str(toolkit / "bin"))
    monkeypatch.setenv("CUDA_HOME", str(toolkit))
    assert setup_py.find_cuda() == toolkit
    monkeypatch.setenv("CUDA_HOME", "")
    assert setup_py.find_cuda() is None
    monkeypatch.delenv("CUDA_HOME")
    assert setup_py.find_cuda() == toolkit.resolve()


def test_toolkits_that_cannot_compile_the_library_are_passed_over(
    setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = make_toolkit(tmp_path / "old", "12.4")
    bare = make_toolkit(tmp_path / "bare", "13.0", with_runtime=False)
    broken = make_toolkit(tmp_path / "broken", "unknown")
    for toolkit in (old, bare, broken):
        monkeypatch.setenv("CUDA_HOME", str(toolkit))
        assert setup_py.find_cuda() is None
        monkeypatch.delenv("CUDA_HOME")
        monkeypatch.setenv("PATH", str(toolkit / "bin"))
        assert setup_py.find_cuda() != toolkit.resolve()


def test_compilers_of_any_major_version_serve_any_torch(
    setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_HOME", str(make_toolkit(tmp_path, "13.0")))
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "")
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    monkeypatch.setattr(torch.version, "cuda", "12.8")

    def build(**_: Any) -> SimpleNamespace:
        cpp_extension._check_cuda_version("g++", torch.torch_version.TorchVersion("12.2"))
        return SimpleNamespace(have_run={})

    monkeypatch.setattr(setup_py, "setup", build)
    setup_py.main()


def test_nvcc_runs_again_for_its_own_headers_alone(setup_py: ModuleType) -> None:
    sources = sorted(Path("csrc/launch").glob("*.cu"))
    reached = {str(path) for path in setup_py.included(sources)}
    assert {"csrc/launch/launch.cuh", "csrc/device/ptx.cuh", "csrc/problem.h"} <= reached
    assert not {"csrc/tensor.h", "csrc/check/check.h"} & reached


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
    from_torch_2_13 = {"torch_exception_get_what_without_backtrace"}
    assert weak - from_torch_2_13 == ({"aoti_torch_get_current_cuda_stream"} if kernels else set())
    assert not {name for _, name in undefined if re.match("(__)?cuda|cu[A-Z]", name)}
