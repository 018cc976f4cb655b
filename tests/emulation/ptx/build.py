"""Compiles kernels as nvcc has compiled them, to PTX, into objects for the emulation."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..build import BUILD, HERE, ROOT, add_compile_rule, building_in
from . import translate

FOLDER = BUILD / "translations"
# Kernels find <device/ptx.cuh> in the first folder that has it.
OF_NVCC = [f"-I{ROOT / 'csrc'}", f"-I{HERE}"]
OF_COMPILER = [f"-I{HERE}", f"-I{ROOT / 'csrc'}"]
_MOST_LINES = 16000  # of PTX to a source


def compile_ptx(nvcc: Path, flags: Iterable[str], sources: Sequence[Path]) -> list[Path]:
    """What nvcc makes of .cu files for Hopper, brought up to date."""
    with building_in(FOLDER) as ninja:
        command = f"{nvcc} -ptx -arch=sm_90a {' '.join([*OF_NVCC, *flags])}"
        ninja.rule("ptx", f"{command} -MD -MF $out.d $in -o $out", depfile="$out.d", deps="gcc")
        for source in sources:
            ninja.build(f"{source.stem}.ptx", "ptx", str(source))
    return [FOLDER / f"{source.stem}.ptx" for source in sources]


def objects(files: Sequence[Path]) -> list[Path]:
    """Objects of all kernels of PTX files, which lie in one folder, brought up to date.

    Raises:
        ValueError: What ``translate`` does not understand.
        RuntimeError: C++ of it that does not compile.
    """
    folder = files[0].parent / "objects"
    with building_in(folder) as ninja:
        sources = [source for file in files for source in _translated(file)]
        # A register that nobody has set must not be the zero that it should have been set to.
        flags = ["-std=c++20", "-Og", "-ftrivial-auto-var-init=pattern", "-ffp-contract=off"]
        flags += ["-fPIC", "-fvisibility=hidden", "-Werror=frame-larger-than=450000"]
        add_compile_rule(ninja, [*flags, *OF_COMPILER])
        for source in sources:
            ninja.build(f"{source.stem}.o", "compile", str(source))
    return [folder / f"{source.stem}.o" for source in sources]


def _translated(file: Path) -> list[Path]:
    """Sources of the kernels of a PTX file, small ones together, written only if they are new."""
    texts, lines = [""], 0
    for kernel in translate.kernels(file.read_text()):
        if lines + len(kernel.lines) > _MOST_LINES and lines:
            texts, lines = [*texts, ""], 0
        texts[-1] += translate.source(kernel, str(file))
        lines += len(kernel.lines)
    sources = [file.with_suffix(f".{i}.cpp") for i in range(len(texts))]
    for source, text in zip(sources, texts, strict=True):
        if not source.exists() or source.read_text() != text:
            source.write_text(text)
    return sources
