"""What the native library was built of, with and for, and whether its kernels run on a device."""

import functools
import json
from typing import NamedTuple

import torch

__all__ = ["BuildInfo", "build_info", "why_no_kernels"]


class BuildInfo(NamedTuple):
    """How the library was built.

    Attributes:
        torch: Version of torch that it was compiled against.
        nvcc: Version of the CUDA compiler; None if there are no kernels.
        archs: Targets of the kernels, as in TORCH_CUDA_ARCH_LIST.
        sources: ``sources_digest`` of what it was compiled of.
    """

    torch: str
    nvcc: str | None
    archs: str
    sources: str = "unknown"  # so say libraries from before there was a hash


@functools.cache
def build_info() -> BuildInfo:
    """As the library itself says."""
    return BuildInfo(**json.loads(torch.ops.octconv_cuda.build_info()))


def why_no_kernels(index: int) -> str:
    """Why no kernel of the library runs on the CUDA device of this index; empty if they do."""
    if build_info().nvcc is None:
        return "a library without CUDA kernels"
    why: str = torch.ops.octconv_cuda.why_no_kernels(index)
    return why
