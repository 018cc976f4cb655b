"""What each probe of the device layer is given, and what it must write: formulated in numpy."""

from probes import hopper, matrices, memory, numbers, threads
from probes.case import PROBES

__all__ = ["PROBES", "hopper", "matrices", "memory", "numbers", "threads"]
