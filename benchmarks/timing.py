"""Interleaved timing: each contender is sampled once per round, each round starts with the next.

So drifts of clock and temperature, and other work on the machine, meet all contenders alike.

Wall time, on every device: of a block of calls, from an idle device until it has done them all
(``timeit``: no garbage collection). It holds what the host takes to enqueue the calls.
Kernel time, on GPUs: of one call between two events, with cold L2 cache and without the host: the
GPU is delayed until the whole call is enqueued, and a sample that began earlier is taken again. Two
events with nothing between them are some time apart (``empty_us``), which may count in short calls.
"""

import itertools
import math
import timeit
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from .gpu import Gpu

__all__ = ["Timing", "empty_us", "interleaved", "kernel_us"]

Call = Callable[[], object]
_WARM_UP_CALLS = 3
_MOST_DELAYS = 12  # doublings of a delay of about 0.1 ms: 0.4 s
_EMPTY_SAMPLES = 21


class Timing(NamedTuple):
    """Percentiles over the samples in microseconds: of kernel time on GPUs, else of wall time.

    The wall times beside kernel times are None where the others are wall times already.
    """

    samples: int
    median_us: float
    p20_us: float
    p80_us: float
    wall_us: float | None
    wall_p20_us: float | None
    wall_p80_us: float | None


def interleaved(
    calls: Sequence[Call],
    gpu: Gpu | None,
    samples: int,
    min_time: float,
    progress: Callable[[], object] = lambda: None,
    *,
    kernels: bool = True,
) -> list[Timing]:
    """One Timing per call.

    Args:
        calls: What to time; nothing else should run meanwhile.
        gpu: Where the calls work; None: on the CPU.
        samples: Samples of each call.
        min_time: Seconds of wall time that the samples of one call last together; a sample is at
            least one call.
        progress: Called after each sample.
        kernels: Whether to time the kernels alone, on GPUs: not of calls with so many that the
            host must wait until the GPU has begun.
    """
    numbers = [_calls_per_sample(call, gpu, min_time / samples) for call in calls]
    wall: list[list[float]] = [[] for _ in calls]
    kernel: list[list[float]] = [[] for _ in calls]
    for first in range(samples):
        for i in range(len(calls)):
            i = (first + i) % len(calls)
            if gpu and kernels:
                kernel[i].append(kernel_us(calls[i], gpu))
            wall[i].append(_wall_us(calls[i], gpu, numbers[i]))
            progress()
    none = (None, None, None)
    if gpu is None or not kernels:
        return [Timing(samples, *_percentiles(block), *none) for block in wall]
    return [
        Timing(samples, *_percentiles(own), *_percentiles(block))
        for own, block in zip(kernel, wall, strict=True)
    ]


def kernel_us(call: Call, gpu: Gpu) -> float:
    """Microseconds of the GPU for one call.

    Raises:
        RuntimeError: The call waits for the GPU, so that the GPU waits for the host too.
    """
    for _ in range(_MOST_DELAYS):
        gpu.flush_l2()
        gpu.wait_cycles(gpu.delay_cycles)
        start = gpu.mark()
        call()
        end = gpu.mark()
        enqueued_in_time = not gpu.reached(start)
        gpu.synchronize()
        if enqueued_in_time:
            return gpu.microseconds(start, end)
        gpu.delay_cycles *= 2
    raise RuntimeError(
        f"a call was not enqueued in {gpu.delay_cycles // 2} cycles: it waits for the GPU, and its "
        "kernel time cannot be told from the host's"
    )


def empty_us(gpu: Gpu | None) -> float | None:
    """Median microseconds between two events with nothing between them; None on the CPU."""
    return gpu and median(kernel_us(lambda: None, gpu) for _ in range(_EMPTY_SAMPLES))


def _percentiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """Median, p20 and p80."""
    p20, median, p80 = (float(value) for value in np.percentile(samples, (20, 50, 80)))
    return median, p20, p80


def _calls_per_sample(call: Call, gpu: Gpu | None, seconds: float) -> int:
    for _ in range(_WARM_UP_CALLS):
        call()
    number = 1
    while (elapsed := _wall_us(call, gpu, number) * number * 1e-6) < seconds / 2:
        number = max(2 * number, math.ceil(number * seconds / max(elapsed, 1e-6)))
    return max(1, round(number * seconds / elapsed))


def _wall_us(call: Call, gpu: Gpu | None, number: int) -> float:
    """Per call, over a block of ``number`` calls."""

    def block() -> None:
        for _ in itertools.repeat(None, number):
            call()
        if gpu:
            gpu.synchronize()

    if gpu:
        gpu.synchronize()
    return timeit.timeit(block, number=1) / number * 1e6
