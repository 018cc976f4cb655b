"""Interleaved timing: each contender is sampled once per round, each round starts with the next.

So drifts of clock and temperature, and other work on the machine, meet all contenders alike.

CPU: a sample is the mean wall time per call of a block (``timeit``: no garbage collection).
GPU: a sample is one call between two CUDA events, with the L2 cache flushed before it. The GPU
sleeps while the host enqueues the call, so launch overhead stays out; it is in the wall time per
call, measured beside it.
"""

import math
import time
import timeit
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from .machine import synchronize

__all__ = ["Timing", "interleaved", "peak_bytes"]

Call = Callable[[], object]
_WARM_UP_CALLS = 3
_SLEEP_CYCLES = 4_000_000  # about 2 ms: longer than the host needs to enqueue any of the calls


class Timing(NamedTuple):
    """Percentiles over the samples in microseconds; wall_us None: median_us is wall time."""

    samples: int
    median_us: float
    p20_us: float
    p80_us: float
    wall_us: float | None


def interleaved(
    calls: Sequence[Call],
    device: torch.device,
    samples: int,
    min_time: float,
    progress: Callable[[], object] = lambda: None,
) -> list[Timing]:
    """One Timing per call.

    Args:
        calls: What to time; nothing else should run meanwhile.
        device: Where the calls work.
        samples: Samples of each call.
        min_time: Seconds that the samples of one call last together, of wall time on GPUs; a sample
            is at least one call.
        progress: Called after each sample.
    """
    numbers = [_calls_per_sample(call, device, min_time / samples) for call in calls]
    sample_kernels = _event_sampler(device) if device.type == "cuda" else None
    wall: list[list[float]] = [[] for _ in calls]
    kernels: list[list[float]] = [[] for _ in calls]
    for first in range(samples):
        for i in range(len(calls)):
            i = (first + i) % len(calls)
            if sample_kernels:
                kernels[i].append(sample_kernels(calls[i]))
            wall[i].append(_block(calls[i], device, numbers[i]))
            progress()
    if sample_kernels:
        return [
            _summary(kernel, float(np.median(block)))
            for kernel, block in zip(kernels, wall, strict=True)
        ]
    return [_summary(block, None) for block in wall]


def peak_bytes(call: Call, device: torch.device) -> int | None:
    """Most memory one call adds to what the GPU holds; None on a CPU, where nobody counts it."""
    if device.type != "cuda":
        return None
    synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _summary(samples: Sequence[float], wall_us: float | None) -> Timing:
    p20, median, p80 = (float(value) for value in np.percentile(samples, (20, 50, 80)))
    return Timing(len(samples), median, p20, p80, wall_us)


def _calls_per_sample(call: Call, device: torch.device, seconds: float) -> int:
    for _ in range(_WARM_UP_CALLS):
        call()
    number = 1
    while (elapsed := _block(call, device, number) * number * 1e-6) < seconds / 2:
        number = max(2 * number, math.ceil(number * seconds / max(elapsed, 1e-6)))
    return max(1, round(number * seconds / elapsed))


def _block(call: Call, device: torch.device, number: int) -> float:
    """Wall time per call in microseconds."""
    if device.type == "cpu":
        return timeit.timeit(call, number=number) / number * 1e6
    synchronize(device)
    start = time.perf_counter()
    for _ in range(number):
        call()
    synchronize(device)
    return (time.perf_counter() - start) / number * 1e6


def _event_sampler(device: torch.device) -> Callable[[Call], float]:
    cache = torch.empty(
        2 * torch.cuda.get_device_properties(device).L2_cache_size, dtype=torch.int8, device=device
    )
    event = torch.cuda.Event
    start, end = (event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]

    def sample(call: Call) -> float:
        cache.zero_()
        torch.cuda._sleep(_SLEEP_CYCLES)  # type: ignore[no-untyped-call]
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e3

    return sample
