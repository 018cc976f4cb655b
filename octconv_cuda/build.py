"""What the native library was built with and for, and which devices its kernels run on."""

import functools
import json
from typing import NamedTuple

import torch

__all__ = ["BuildInfo", "build_info", "kernels_run_on", "runs_on"]


class BuildInfo(NamedTuple):
    """How the library was built.

    Attributes:
        torch: Version of torch that it was compiled against.
        nvcc: Version of the CUDA compiler; None if there are no kernels.
        archs: Targets of the kernels, as in TORCH_CUDA_ARCH_LIST.
    """

    torch: str
    nvcc: str | None
    archs: str


@functools.cache
def build_info() -> BuildInfo:
    """As the library itself says."""
    return BuildInfo(**json.loads(torch.ops.octconv_cuda.build_info()))


@functools.cache
def kernels_run_on(device: torch.device) -> bool:
    """Whether the library has kernels, and they run on this CUDA device."""
    info = build_info()
    return info.nvcc is not None and runs_on(info.archs, torch.cuda.get_device_capability(device))


def runs_on(archs: str, capability: tuple[int, int]) -> bool:
    """Whether code built for ``archs`` runs on a compute capability (major, minor).

    Machine code runs on its major version from its minor one on, with an "a" on just its own; PTX
    on every later card (CUDA C++ Programming Guide, "Application Compatibility").
    """
    for arch in archs.split(";"):
        number, _, ptx = arch.partition("+")
        major, minor = (int(digits) for digits in number.rstrip("a").split("."))
        if number.endswith("a"):
            if capability == (major, minor):
                return True
        elif capability >= (major, minor) and (ptx or capability[0] == major):
            return True
    return False
