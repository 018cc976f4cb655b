"""Compiles the operators on CUDA as C++, with the emulation in CUDA's place."""

from collections.abc import Sequence
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


def build(name: str = "octconv_emulated", translations: Sequence[Path] = ()) -> Path:
    """The library of the operators in torch.ops.<name>, brought up to date.

    ``translations`` are objects of the same kernels translated from PTX: there they serve.
    """
    includes = [HERE / "operators", HERE, CSRC]
    flags = ["-std=c++20", "-Og", "-fPIC", "-w", "-Wno-psabi", "-fvisibility-inlines-hidden"]
    flags += ["-DTORCH_TARGET_VERSION=0x020a000000000000"]
    built = {"TORCH": torch.__version__, "NVCC": "13.0", "ARCHS": "8.0;9.0a"}
    flags += [f"'-DOCTCONV_CUDA_{fact}=\"{text}\"'" for fact, text in built.items()]
    flags += [f"-I{path}" for path in includes]
    flags += [f"-isystem{path}" for path in cpp_extension.include_paths()]
    of_cuda = [*CSRC.glob("cuda/*.cpp"), *CSRC.glob("launch/*.cpp"), *CSRC.glob("launch/*.cu")]
    objects = [*compiled("host", HOST_AND_RUNTIME)]
    folder = BUILD / "shared" / "operators"
    with building_in(folder) as ninja:
        add_compile_rule(ninja, [*flags, "-x c++"])
        for source in (*of_cuda, *CSRC.glob("*.cpp")):
            target = f"{source.parent.name}-{source.stem}.o"
            ninja.build(target, "compile", str(source))
            objects.append(folder / target)
    with building_in(BUILD / name) as ninja:
        libraries = f"-L{Path(torch.__file__).parent / 'lib'} -ltorch -ltorch_cpu -ldl"
        link = f"-shared -Wl,-Bsymbolic -Wl,--no-as-needed {libraries}"
        ninja.rule("link", f"{COMPILER} $in {link} -o $out")
        add_compile_rule(ninja, [*flags, f"'-DLIBRARY=\"{name}\"'"])
        ninja.build("runtime.o", "compile", str(HERE / "operators" / "runtime.cpp"))
        inputs = ["runtime.o", *map(str, objects), *map(str, translations)]
        ninja.build("operators.so", "link", inputs)
    return BUILD / name / "operators.so"


if __name__ == "__main__":
    print(build())
