"""Compiles the operators on CUDA as C++, with the emulation in CUDA's place."""

from pathlib import Path

import torch
from torch.utils import cpp_extension

from ..build import (
    BUILD,
    COMPILER,
    HERE,
    HOST_AND_RUNTIME,
    ROOT,
    add_compile_rule,
    building_in,
    compiled,
)

CSRC = ROOT / "csrc"


def build() -> Path:
    """The library, brought up to date."""
    folder = BUILD / "operators"
    includes = [HERE / "operators", HERE, CSRC]
    flags = ["-std=c++20", "-Og", "-fPIC", "-w", "-Wno-psabi", "-fvisibility-inlines-hidden"]
    flags += ["-DTORCH_TARGET_VERSION=0x020a000000000000"]
    built = {"TORCH": torch.__version__, "NVCC": "13.0", "ARCHS": "8.0;9.0a"}
    flags += [f"'-DOCTCONV_CUDA_{name}=\"{text}\"'" for name, text in built.items()]
    flags += [f"-I{path}" for path in includes]
    flags += [f"-isystem{path}" for path in cpp_extension.include_paths()]
    of_cuda = [*CSRC.glob("cuda/*.cpp"), *CSRC.glob("launch/*.cpp"), *CSRC.glob("launch/*.cu")]
    sources = [*of_cuda, *CSRC.glob("*.cpp"), HERE / "operators" / "runtime.cpp"]
    others = compiled("host", HOST_AND_RUNTIME)
    with building_in(folder) as ninja:
        add_compile_rule(ninja, [*flags, "-x c++"])
        libraries = f"-L{Path(torch.__file__).parent / 'lib'} -ltorch -ltorch_cpu -ldl"
        link = f"-shared -Wl,-Bsymbolic -Wl,--no-as-needed {libraries}"
        ninja.rule("link", f"{COMPILER} $in {link} -o $out")
        objects = [f"{path.parent.name}-{path.stem}.o" for path in sources]
        for target, source in zip(objects, sources, strict=True):
            ninja.build(target, "compile", str(source))
        ninja.build("operators.so", "link", [*objects, *map(str, others)])
    return folder / "operators.so"


if __name__ == "__main__":
    print(build())
