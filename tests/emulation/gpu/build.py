"""Compiles the probes, and gemm, for GPUs: a library that needs neither torch nor Python."""

import hashlib
import os
import subprocess
from pathlib import Path

GPU = Path(__file__).parent
EMULATION = GPU.parent
ROOT = EMULATION.parents[1]
CSRC = ROOT / "csrc"
SOURCE = GPU / "probes.cu"
LIBRARY = ROOT / "build" / "emulation" / "gpu" / "libdevice_probes.so"
DIGEST = LIBRARY.with_suffix(".digest")

# The first folder holds <device/ptx.cuh>; the second, which has its twin, the kernels.
FLAGS = ["-std=c++17", "-O3", "--expt-relaxed-constexpr", "-Werror=all-warnings", "--no-compress"]
INCLUDES = [f"-I{CSRC}", f"-I{EMULATION}"]
TARGETS = ["-gencode=arch=compute_80,code=[sm_80,compute_80]"]
TARGETS += ["-gencode=arch=compute_90a,code=sm_90a"]


def digest() -> str:
    """A hash of all that the library is made from."""
    headers = [*CSRC.rglob("*.h"), *CSRC.rglob("*.cuh"), *EMULATION.glob("kernels/*")]
    content = [str([*FLAGS, *TARGETS]).encode(), SOURCE.read_bytes()]
    content += [path.read_bytes() for path in sorted(headers)]
    return hashlib.sha256(b"".join(content)).hexdigest()


def build(nvcc: Path | None) -> Path | None:
    """The library, brought up to date.

    One that was built elsewhere from the same sources serves too. None if there is none and no
    nvcc to build it.
    """
    current = digest()
    if LIBRARY.exists() and DIGEST.exists() and DIGEST.read_text() == current:
        return LIBRARY
    if nvcc is None:
        return None
    LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    command = [nvcc, "-shared", "-Xcompiler=-fPIC", *FLAGS, *INCLUDES, *TARGETS]
    # A process may have the old one loaded, and another may build it, too.
    new = LIBRARY.with_suffix(f".{os.getpid()}")
    log = subprocess.run([*command, SOURCE, "-o", new], capture_output=True, text=True)
    if log.returncode != 0:
        raise RuntimeError(log.stdout + log.stderr)
    new.replace(LIBRARY)
    DIGEST.write_text(current)
    return LIBRARY
