"""What timing needs of a GPU, and nothing else; the tests put a simulated one in its place."""

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Gpu", "gpu_of"]


class Gpu:
    """The current stream of a CUDA device: delays, marks in it, a cold cache.

    Attributes:
        delay_cycles: How long the GPU is kept from beginning a call that is timed; grows as needed.
    """

    def __init__(self, device: torch.device) -> None:
        self.delay_cycles = 200_000  # about 0.1 ms: most calls are enqueued faster
        self._device = device
        size = 4 * torch.cuda.get_device_properties(device).L2_cache_size
        self._sweep = torch.zeros(size // 4, device=device)

    def flush_l2(self) -> None:
        """Enqueues a read of four times the L2 cache.

        Written, its lines would have to be written back while the call runs.
        """
        self._sweep.amax()

    def wait_cycles(self, cycles: int) -> None:
        """Enqueues a wait of so many clock cycles."""
        torch.cuda._sleep(cycles)  # type: ignore[no-untyped-call]

    def mark(self) -> Any:
        """Enqueues a mark that remembers when the GPU reached it."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def reached(self, mark: Any) -> bool:
        """Whether the GPU has reached the mark by now."""
        return bool(mark.query())

    def microseconds(self, start: Any, end: Any) -> float:
        """Between two marks that the GPU has reached."""
        return float(start.elapsed_time(end)) * 1e3

    def synchronize(self) -> None:
        """Waits until the GPU has done all its work."""
        torch.cuda.synchronize(self._device)

    def peak_bytes(self, call: Callable[[], object]) -> int:
        """Most memory a call adds to what the GPU holds before it."""
        self.synchronize()
        before = torch.cuda.memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        call()
        self.synchronize()
        return torch.cuda.max_memory_allocated(self._device) - before


def gpu_of(device: torch.device) -> Gpu | None:
    """The GPU that a device is; None for a CPU."""
    return Gpu(device) if device.type == "cuda" else None
