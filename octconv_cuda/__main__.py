"""``python -m octconv_cuda``: what is installed, what serves which device, and a short check.

Exit code 1 if a known answer comes out wrong.
"""

import platform
import sys

import torch

from . import __version__
from .build import build_info, why_no_kernels
from .known_answers import check
from .ops import SERVED, native_kernels


def _devices() -> dict[str, str]:
    """Device name for torch and a description for the reader."""
    devices = {"cpu": f"{platform.machine()}, {torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        why = why_no_kernels(index)
        devices[f"cuda:{index}"] = (
            f"{properties.name}, compute capability {properties.major}.{properties.minor}, "
            f"{properties.multi_processor_count} multiprocessors"
            + (f"; no kernels run on it: {why}" if why else "")
        )
    return devices


def _native(device: str) -> tuple[str, ...]:
    """The operators that kernels of the library serve on a device; "cuda": where they run."""
    kind, _, index = device.partition(":")
    return () if index and why_no_kernels(int(index)) else native_kernels(kind)


def main() -> int:
    """Prints the report; 0 if every known answer came out right, else 1."""
    build = build_info()
    kernels = (
        f"CUDA kernels for {build.archs} by nvcc {build.nvcc}"
        if build.nvcc
        else "no CUDA kernels (no nvcc at build time)"
    )
    print(
        f"octconv_cuda {__version__} of sources {build.sources}, built against torch "
        f"{build.torch}, {kernels}"
    )
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"CUDA of torch: {torch.version.cuda or 'none'}"
    )
    devices = _devices()
    print("\nDevices")
    for device, description in devices.items():
        print(f"  {device}: {description}")

    print("\nWhat computes each operator ('PyTorch': composed of PyTorch's own operators)")
    no_gpu = () if len(devices) > 1 else ("cuda",)  # what would be there
    native = {device: _native(device) for device in (*devices, *no_gpu)}
    print(f"  {'':14}" + "".join(f"{device:10}" for device in native))
    for name in SERVED:
        cells = ("native" if name in kernels else "PyTorch" for kernels in native.values())
        print(f"  {name:14}" + "".join(f"{cell:10}" for cell in cells))

    print("\nKnown answers, forward and backward")
    right = True
    for device in devices:
        for name, wrong in check(device):
            print(f"  {device}: {name}: {f'WRONG, {wrong}' if wrong else 'right'}")
            right = right and not wrong
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
