"""Builds octconv_cuda._C, the native library. Everything static stands in pyproject.toml.

One stable-ABI library serves every Python >= 3.10 and every torch >= 2.10, CPU or CUDA build. It
holds CUDA kernels if nvcc is found; that asks neither for a GPU nor for a CUDA build of torch.
"""

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import torch
from setuptools import Extension, setup
from torch.utils import cpp_extension

DEFAULT_ARCHS = "8.0;9.0a;8.0+PTX"  # the PTX serves every card from 8.0 on that has no code here
OLDEST_ARCH, OLDEST_NVCC = 8.0, (12, 5)
POOR_NVCC = (13, 3)  # and later ones, up to 13.5 at least
TORCH_TARGET = "0x020a000000000000"  # 2.10, the oldest torch that can load the library
CSRC = Path("csrc")
# Where toolkits keep what is for this kind of machine, beside links to it that some lack.
OF_MACHINE = {"x86_64": ["x86_64-linux"], "aarch64": ["sbsa-linux", "aarch64-linux"]}
TARGETS = [f"targets/{name}" for name in OF_MACHINE.get(platform.machine(), [])]


def cuda_candidates() -> list[Path]:
    """Where a CUDA toolkit may be, in order of preference; if CUDA_HOME is set, only there."""
    cuda_home = os.environ.get("CUDA_HOME")
    if cuda_home is not None:
        return [Path(cuda_home).expanduser().resolve()] if cuda_home else []
    site_packages, on_path = Path(sysconfig.get_path("purelib")), shutil.which("nvcc")
    return [
        *([Path(on_path).resolve().parent.parent] if on_path else []),
        Path("/usr/local/cuda"),
        site_packages / "nvidia" / "cu13",
    ]


def cudart_directory(cuda_home: Path) -> Path | None:
    """The folder of the static CUDA runtime within a toolkit."""
    folders = (cuda_home / name for name in ("lib64", "lib", *(f"{t}/lib" for t in TARGETS)))
    return next((folder for folder in folders if (folder / "libcudart_static.a").exists()), None)


def cuda_headers(cuda_home: Path) -> list[Path]:
    """The folders of a toolkit's headers, which nvcc knows and the host's compiler does not.

    Of a distribution's toolkit it does know /usr/include, and would lose its own headers there if
    that were named.
    """
    folders = (cuda_home / name for name in ("include", *(f"{t}/include" for t in TARGETS)))
    found = [folder for folder in folders if (folder / "cuda_runtime.h").exists()]
    return [folder for folder in found if folder != Path("/usr/include")]


def find_cuda() -> Path | None:
    """The first toolkit with a compiler, new enough, and a static runtime, or None."""
    toolkits = (home for home in cuda_candidates() if (home / "bin" / "nvcc").exists())
    return next((home for home in toolkits if cudart_directory(home) and is_new(home)), None)


def is_new(cuda_home: Path) -> bool:
    """Whether a toolkit has what the library is written with, and its compiler runs."""
    try:
        major, minor = map(int, nvcc_version(cuda_home).split("."))
    except (OSError, subprocess.CalledProcessError, RuntimeError):
        return False
    return (major, minor) >= OLDEST_NVCC


def makes_poor_code(version: str, archs: str) -> bool:
    """Whether products in the kernels for Hopper bring their addresses from other registers."""
    return (*map(int, version.split(".")),) >= POOR_NVCC and "9.0a" in archs.split(";")


def nvcc_version(cuda_home: Path) -> str:
    """Such as "13.0"."""
    text = subprocess.check_output([cuda_home / "bin" / "nvcc", "--version"], text=True)
    match = re.search(r"release (\d+\.\d+)", text)
    if match is None:
        raise RuntimeError(f"octconv_cuda: no release number in the output of nvcc: {text!r}")
    return match[1]


def checked_archs(archs: str) -> str:
    """The targets, as numbers: the library compares them with those of the card.

    Of a list that serves other libraries, too, targets before 8.0 are left out. 9.0 becomes 9.0a,
    which Hopper's kernels need, and its PTX that of 8.0, for 9.0a has none that others run.
    """
    targets = archs.replace(" ", ";").split(";")
    if not all(re.fullmatch(r"\d+\.\da?(\+PTX)?", target) for target in targets):
        raise RuntimeError(
            "octconv_cuda: TORCH_CUDA_ARCH_LIST must have targets such as 8.0;9.0a;8.0+PTX, "
            f"got {archs!r}"
        )
    with_ptx = ["9.0a", "8.0+PTX"]
    instead = {"9.0": ["9.0a"], "9.0+PTX": with_ptx, "9.0a+PTX": with_ptx}
    covered = [t for t in targets if float(re.split("[a+]", t)[0]) >= OLDEST_ARCH]
    if not covered:
        raise RuntimeError(
            f"octconv_cuda: TORCH_CUDA_ARCH_LIST must have a target from {OLDEST_ARCH} on, got "
            f"{archs!r}; an empty CUDA_HOME builds without kernels"
        )
    return ";".join(dict.fromkeys(t for name in covered for t in instead.get(name, [name])))


def included(sources: list[Path]) -> set[Path]:
    """All headers of the project that these files include, directly or not."""
    found: set[Path] = set()
    todo = list(sources)
    while todo:
        path = todo.pop()
        names = re.findall(r'^#include ["<](.+)[">]', path.read_text(), re.MULTILINE)
        headers = {folder / name for name in names for folder in (CSRC, path.parent)}
        new = {header for header in headers if header.is_file()} - found
        found |= new
        todo += new
    return found


def headers_digest(sources: list[Path]) -> str:
    """A hash of all headers of .cu files: on the command line it makes nvcc run again.

    cpp_extension does not track them here.
    """
    contents = (path.read_bytes() for path in sorted(included(sources)))
    return hashlib.sha256(b"".join(contents)).hexdigest()[:16]


def sources_digest() -> str:
    """By the package's own function: benchmarks compare what it gave with the sources they have."""
    spec = importlib.util.spec_from_file_location("sources", Path("octconv_cuda", "sources.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.sources_digest(Path())


class BuildLibrary(cpp_extension.BuildExtension):
    """Tells the library of which sources it is, in a header that ops.cpp alone includes.

    In a flag it would have all files compiled again after a change of one.
    """

    def build_extensions(self) -> None:
        """Writes the header if it would be another: an old one makes nothing compile again."""
        folder = Path(self.build_temp).resolve()
        header, text = folder / "sources.h", f'#define OCTCONV_CUDA_SOURCES "{sources_digest()}"\n'
        if not header.exists() or header.read_text() != text:
            folder.mkdir(parents=True, exist_ok=True)
            header.write_text(text)
        for extension in self.extensions:
            extension.include_dirs.append(str(folder))
        super().build_extensions()


def native_library(cuda_home: Path | None, archs: str) -> Extension:
    """The extension: a CppExtension even with kernels, so that it asks for no CUDA library."""
    of_cuda = {CSRC / "cuda", CSRC / "launch"}
    sources = [path for path in CSRC.rglob("*.cpp") if cuda_home or path.parent not in of_cuda]
    torch_headers = cpp_extension.include_paths()  # as system headers: their warnings are not ours
    # Without contraction every instruction set gives the same bits. Python's own flags ask for
    # debug information, which makes the library a third larger.
    cxx = ["-O3", "-g0", "-Wall", "-Wextra", "-fvisibility=hidden", "-ffp-contract=off"]
    cxx += [f"-DTORCH_TARGET_VERSION={TORCH_TARGET}"]
    cxx += [f"-isystem{path}" for path in torch_headers]
    # Nothing in libtorch is named, so some linkers would drop it; but through it the library finds
    # the current stream of a CUDA build of torch.
    link = ["-Wl,--no-as-needed", "-ltorch"]
    nvcc, version, libraries, library_dirs = [], "", [], []
    if cuda_home is not None:
        of_nvcc = list(CSRC.glob("launch/*.cu"))
        sources += of_nvcc
        # C++17, since the standard library's headers of C++20 are longer; each pass reads them.
        nvcc = ["-O3", "-std=c++17", "-Xcompiler=-Wall,-Wextra,-fvisibility=hidden"]
        nvcc += [f"-DOCTCONV_CUDA_HEADERS={headers_digest(of_nvcc)}"]
        version = nvcc_version(cuda_home)
        libraries = ["cudart_static", "rt", "dl", "pthread"]
        library_dirs = [str(cudart_directory(cuda_home))]
        cxx += [f"-isystem{path}" for path in cuda_headers(cuda_home)]
    cxx += [f'-DOCTCONV_CUDA_TORCH="{torch.__version__}"']
    cxx += [f'-DOCTCONV_CUDA_NVCC="{version}"', f'-DOCTCONV_CUDA_ARCHS="{archs}"']
    return cpp_extension.CppExtension(
        "octconv_cuda._C",
        sorted(map(str, sources)),
        include_dirs=[str(CSRC.resolve())],
        extra_compile_args={"cxx": cxx, "nvcc": nvcc},
        extra_link_args=link,
        libraries=libraries,
        library_dirs=library_dirs,
        py_limited_api=True,
    )


def main() -> None:
    """Build, and say last what was built."""
    cuda_home, archs = find_cuda(), ""
    if cuda_home is not None:
        cpp_extension.CUDA_HOME = str(cuda_home)  # None under CPU builds of torch
        # Under CUDA builds PyTorch refuses a compiler of another major version than theirs, but
        # this library takes nothing from them.
        torch.version.cuda = None
        archs = os.environ.get("TORCH_CUDA_ARCH_LIST") or DEFAULT_ARCHS
        os.environ["TORCH_CUDA_ARCH_LIST"] = archs = checked_archs(archs)
    distribution = setup(
        ext_modules=[native_library(cuda_home, archs)],
        cmdclass={"build_ext": BuildLibrary},
        options={
            "bdist_wheel": {"py_limited_api": "cp310"},
            # Without ninja objects look up to date that other flags or headers made.
            "build_ext": {"force": True},
        },
    )
    if not distribution.have_run.get("build_ext"):
        return
    if cuda_home is None:
        oldest = ".".join(map(str, OLDEST_NVCC))
        looked = ", ".join(str(home / "bin" / "nvcc") for home in cuda_candidates())
        print(
            f"octconv_cuda: built without CUDA kernels: no nvcc from {oldest} on with its runtime "
            f"found (looked at {looked or 'nothing: CUDA_HOME is empty'})"
        )
    else:
        targets = archs.replace(";", ", ")
        version = nvcc_version(cuda_home)
        print(f"octconv_cuda: CUDA kernels for {targets} built with nvcc {version}")
        if makes_poor_code(version, archs):
            print(
                f"octconv_cuda: nvcc {version} makes poor machine code of the 3x3 kernels for "
                "Hopper, as 13.0 to 13.2 do not: see Limits in README.md"
            )


if __name__ == "__main__":
    main()
