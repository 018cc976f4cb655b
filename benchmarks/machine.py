"""The machine that a result was measured on, its arithmetic settings and its measured ceilings."""

import contextlib
import datetime
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F

from octconv_cuda.build import build_info
from octconv_cuda.cost import macs
from octconv_cuda.sources import sources_digest

__all__ = [
    "DTYPES",
    "asked_trials",
    "describe",
    "measure_ceilings",
    "precision",
    "slug",
    "stale_library",
    "synchronize",
    "with_trials",
]

# tf32 is float32 in memory, rounded to 10 mantissa bits by the tensor cores.
DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_TRIAL = "OCTCONV_CUDA_TRIAL"
_STALE = "-stale"
T = TypeVar("T")


def asked_trials() -> str:
    """What the environment asks for that has run on no GPU yet: "1" all of it, or parts' names.

    Raises:
        ValueError: Unknown names.
    """
    text = os.environ.get(_TRIAL, "")
    if text in ("", "0", "1"):
        return text.strip("0")
    names, asked = torch.ops.octconv_cuda.trial_names().split(","), set(text.split(","))
    if unknown := asked.difference(names):
        raise ValueError(f"{_TRIAL} must be 1 or some of {','.join(names)}, got {unknown.pop()!r}")
    return "1" if len(asked) == len(names) else ",".join(n for n in names if n in asked)


def with_trials(call: Callable[..., T], asked: str) -> Callable[..., T]:
    """A call during which the environment asks for that: the operators read it at each call.

    ``os.environ`` is left alone, for this is within what is timed.
    """
    before = os.environ.get(_TRIAL, "")

    def trial_call(*arguments: Any) -> T:
        os.putenv(_TRIAL, asked)
        try:
            return call(*arguments)
        finally:
            os.putenv(_TRIAL, before)

    return trial_call


def describe(device: torch.device) -> dict[str, str | int | None]:
    """Device, versions, threads, commit ("-dirty": with local changes) and UTC date.

    A CPU's name often stands for several processors: ``processor`` tells them apart; of a GPU's
    host it tells the name, too. ``library`` is the hash of the sources that the native library was
    built of ("-stale": other ones lie here).

    What does not apply (the driver of a CPU) or is unknown (the commit outside a checkout) is None.
    """
    cuda = device.type == "cuda"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = _output_of(query) if cuda else None
    host = _cpu_fact("model name") or platform.machine()
    return {
        "device": torch.cuda.get_device_name(device) if cuda else _cpu_fact("model name") or "CPU",
        "processor": f"{host}, {_processor()}" if cuda else _processor(),
        "driver": driver.splitlines()[0] if driver else None,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "commit": _output_of(
            ["git", "describe", "--always", "--exclude=*", "--dirty", "--abbrev=40"]
        ),
        "library": _library(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def stale_library(machine: Mapping[str, object]) -> str:
    """A warning for the reader if what ``describe`` gave has a stale library, else empty."""
    if not str(machine["library"]).endswith(_STALE):
        return ""
    return "Stale library, built of other sources than those here: times are not of this tree."


def slug(device_name: str) -> str:
    """The device's name as a folder: "NVIDIA H100 80GB HBM3" gives "nvidia-h100-80gb-hbm3"."""
    return re.sub(r"[^a-z0-9]+", "-", device_name.lower()).strip("-")


def synchronize(device: torch.device) -> None:
    """Waits for the device's work; nothing to wait for on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Convolutions and matrix products of float32 may round to tf32 for dtype "tf32" only."""
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = convolutions.fp32_precision, torch.get_float32_matmul_precision()
    convolutions.fp32_precision = "tf32" if dtype == "tf32" else "ieee"
    # And not matmul.fp32_precision: with that alone, torch.compile refuses tf32 on CUDA.
    torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    try:
        yield
    finally:
        convolutions.fp32_precision, matmul = before
        torch.set_float32_matmul_precision(matmul)


def measure_ceilings(
    device: torch.device, dtypes: list[str]
) -> dict[str, dict[str, float] | float]:
    """Arithmetic and memory rates that this device reaches, each the fastest of several calls.

    Returns:
        ``flops_per_second`` by dtype name: of a large matrix product; on a CPU of a convolution of
        128 to 128 channels, since MKL's matrix products were seen at half its rate on AMD.
        ``bytes_per_second``: read + written, of a copy of a buffer far larger than the caches; a
        layer that fits in a cache can exceed it.
    """
    rates = {}
    for dtype in dtypes:
        with precision(dtype):
            rates[dtype] = _flops_per_second(device, DTYPES[dtype])
    source = torch.randn((1 << 30 if device.type == "cuda" else 1 << 28) // 4, device=device)
    target = torch.empty_like(source)
    seconds = _fastest(lambda: target.copy_(source), device)
    return {
        "flops_per_second": rates,
        "bytes_per_second": 2 * source.nbytes / seconds,
    }


def _flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    if device.type == "cuda":
        n = 8192
        a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
        return 2 * n**3 / _fastest(lambda: torch.mm(a, b), device)
    c, size = 128, 64
    x, w = torch.randn(1, c, size, size, dtype=dtype), torch.randn(c, c, 3, 3, dtype=dtype)
    x, w = (t.contiguous(memory_format=torch.channels_last) for t in (x, w))
    flops = 2 * macs((c, 0), (c, 0), (3, 3), (size, size))
    return flops / _fastest(lambda: F.conv2d(x, w, padding=1), device)


def _fastest(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of the calls that fit in one second, of two at least."""
    times: list[float] = []
    while len(times) < 2 or sum(times) < 1:
        synchronize(device)
        start = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def _library() -> str:
    built, here = build_info().sources, sources_digest(Path(__file__).parents[1])
    return built if here in (None, built) else built + _STALE


def _processor() -> str:
    names = ("cpu family", "model", "CPU implementer", "CPU part")  # the last two are ARM's
    facts = {name.split()[-1]: _cpu_fact(name) for name in names}
    numbers = [f"{name} {number}" for name, number in facts.items() if number]
    return ", ".join([*numbers, torch.backends.cpu.get_cpu_capability()])


def _cpu_fact(name: str) -> str | None:
    """What Linux says of the first processor; ARM's have no model name."""
    facts = re.findall(rf"^{name}\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return facts[0] if facts else None


def _output_of(command: list[str]) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None
