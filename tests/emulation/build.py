"""Compiles the emulation, kernels included, as a Python module: plain or with a sanitizer."""

import fcntl
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pybind11
from ninja import BIN_DIR
from ninja.ninja_syntax import Writer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# The library's own host code.
HOST = sorted(
    path for folder in ("plan", "setup") for path in (ROOT / "csrc" / folder).glob("*.cpp")
)
HOST_AND_RUNTIME = [*HOST, *sorted(HERE.glob("runtime/*.cpp"))]
PYTHON = HERE / "module.cpp"  # with Python's headers, which are slow to compile
BUILD = ROOT / "build" / "emulation"
COMPILER = shutil.which("g++")

# What is wrong with a pointer shows at its use, but far beyond a thread's own array, and the
# emulation asks for alignment; to ask before takes a fifth more of the compiler's time.
ADDRESSES_AND_ARITHMETIC = [
    "-fsanitize=address,undefined,bounds-strict",
    "-fno-sanitize=null,pointer-overflow,alignment,object-size",
    "-fno-sanitize-recover=all",
]
# Flags of all files, and of those that are judged: kernels, and the library's host code. Thread
# sanitizer must not see the runtime, which hands data from thread to thread as the hardware does.
MODES = {
    "plain": (["-O2"], ["-Og"]),
    "asan": (
        ["-O2", "-DEMULATION_ASAN"],
        ["-Og", "-DEMULATION_SANITIZED", *ADDRESSES_AND_ARITHMETIC],
    ),
    "tsan": (["-O2", "-DEMULATION_TSAN"], ["-O1", "-DEMULATION_SANITIZED", "-fsanitize=thread"]),
}
LIBRARIES = {"asan": ["libasan.so", "libubsan.so"], "tsan": ["libtsan.so"]}


def build(mode: str, translations: Sequence[Path] = ()) -> Path:
    """The folder of the module ``kernel_emulation`` of a mode, brought up to date.

    ``translations`` are objects of the same kernels translated from PTX: they serve. Such a mode is
    none of ``MODES``, but else as "plain".
    """
    folder = BUILD / mode
    bindings = sorted(set(HERE.glob("*.cpp")) - {PYTHON})
    others = [*compiled("python", [PYTHON]), *translations]
    sources = [*bindings, *HOST_AND_RUNTIME]
    if mode == "plain" or translations:  # several libraries are linked with them
        others += [*compiled("host", HOST_AND_RUNTIME), *compiled("bindings", bindings)]
        sources = []
    with building_in(folder) as ninja:
        flags_of = "plain" if translations else mode
        objects = [*add_objects(ninja, flags_of, sources), *map(str, others)]
        ninja.rule("link", f"{COMPILER} -shared $extra $in -o $out")
        module = f"kernel_emulation{sysconfig.get_config_var('EXT_SUFFIX')}"
        flags, judged_flags = MODES[flags_of]
        link_flags = " ".join(flag for flag in [*flags, *judged_flags] if "sanitize" in flag)
        ninja.build(module, "link", objects, variables={"extra": link_flags})
    return folder


def compiled(name: str, sources: list[Path]) -> list[Path]:
    """Objects of mode "plain" that several modules have, brought up to date."""
    folder = BUILD / "shared" / name
    with building_in(folder) as ninja:
        objects = add_objects(ninja, "plain", sources)
    return [folder / target for target in objects]


def add_objects(ninja: Writer, mode: str, sources: list[Path]) -> list[str]:
    """Has sources compiled as in a mode; their objects."""
    flags, judged_flags = MODES[mode]
    includes = [HERE, ROOT / "csrc"]  # the first holds the twin of <device/ptx.cuh>
    system = [pybind11.get_include(), sysconfig.get_path("include")]
    common = ["-std=c++20", "-g1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
    common += ["-Wno-unknown-pragmas", "-Wno-psabi"]  # unroll is nvcc's; arguments of 128 bytes
    common += [*flags, *(f"-I{path}" for path in includes), *(f"-isystem{path}" for path in system)]
    add_compile_rule(ninja, [*common, "$extra"])
    objects = []
    for source in sources:
        judged = source.name.startswith("bind_") or source in HOST
        extra = ["-Og"] if source == PYTHON else judged_flags if judged else []
        target = f"{source.parent.name}/{source.stem}.o"
        ninja.build(target, "compile", str(source), variables={"extra": " ".join(extra)})
        objects.append(target)
    return objects


def add_compile_rule(ninja: Writer, flags: list[str]) -> None:
    """The rule "compile", which keeps track of headers."""
    command = f"{COMPILER} -MMD -MF $out.d {' '.join(flags)} -c $in -o $out"
    ninja.rule("compile", command, depfile="$out.d", deps="gcc")


@contextmanager
def building_in(folder: Path) -> Iterator[Writer]:
    """Takes what is to be built in a folder, and then brings it up to date."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may build at a time
        with (folder / "build.ninja").open("w") as file:
            yield Writer(file)
        command = [Path(BIN_DIR) / "ninja", "-C", folder]
        log = subprocess.run(command, capture_output=True, text=True)
    if log.returncode != 0:
        raise RuntimeError(log.stdout + log.stderr)


def preloaded(mode: str) -> str:
    """The libraries of a sanitizer, which must be in the process before everything else."""
    files = [
        subprocess.check_output([COMPILER, f"-print-file-name={name}"], text=True).strip()
        for name in LIBRARIES.get(mode, [])
    ]
    return ":".join(files)


if __name__ == "__main__":
    for name in sys.argv[1:] or MODES:
        print(build(name))
