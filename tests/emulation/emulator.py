"""The emulation as the tests use it: kernels by name, numpy in, numpy out."""

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import emulation.build as builder


class EmulationError(RuntimeError):
    """A defect of a kernel, as the runtime or a sanitizer reports it."""


class Run(NamedTuple):
    """How threads take turns; see runtime/options.h."""

    schedule: str = "order"
    late: bool = False
    seed: int = 0
    resident_blocks: int = 1
    count: bool = True


# What between them find the planted bugs.
RUNS = (
    Run(),
    Run(late=True),
    Run("shuffle", seed=1, resident_blocks=2),
    Run("shuffle", late=True, seed=2, resident_blocks=2),
    Run("priorities", seed=3, resident_blocks=2),
    Run("priorities", late=True, seed=4, resident_blocks=2),
)


class Emulator:
    """The emulation in one mode of ``build.MODES``, in a process of its own.

    Or in another one, of ``translations``: see ``build``.
    """

    def __init__(self, mode: str, translations: Sequence[Path] = ()) -> None:
        self.mode = mode
        self._folder = builder.build(mode, translations)
        self._worker: subprocess.Popen[bytes] | None = None
        self._reports = tempfile.TemporaryFile()  # noqa: SIM115

    def __call__(self, kernel: str, *arguments: Any, run: Run | None = None) -> Any:
        """What the module's function ``kernel`` returns; raises EmulationError.

        Args:
            kernel: The function's name.
            *arguments: Its arguments but the last.
            run: The last one. Sanitizers are slow: there the counters are off by default.
        """
        run = run or Run(count=self.mode == "plain")
        worker = self._running()
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            pickle.dump((kernel, (*arguments, run._asdict())), worker.stdin)
            worker.stdin.flush()
            error, result = pickle.load(worker.stdout)
        except (EOFError, BrokenPipeError):
            worker.wait()
            self._reports.seek(0)
            raise EmulationError(self._reports.read().decode(errors="replace")) from None
        if error is not None:
            raise EmulationError(error)
        return result

    def close(self) -> None:
        if self._worker is not None and self._worker.stdin is not None:
            self._worker.stdin.close()
            self._worker.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._worker is None or self._worker.poll() is not None:
            self._reports.seek(0)
            self._reports.truncate()
            worker = Path(__file__).with_name("worker.py")
            self._worker = subprocess.Popen(
                [*fixed_addresses(self.mode), sys.executable, worker, self._folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._reports,
                env={
                    **os.environ,
                    "LD_PRELOAD": builder.preloaded(self.mode),
                    "ASAN_OPTIONS": "detect_leaks=0",
                    "UBSAN_OPTIONS": "print_stacktrace=1",
                    "TSAN_OPTIONS": "halt_on_error=1",
                },
            )
        return self._worker


def fixed_addresses(mode: str) -> list[str]:
    """Thread sanitizer cannot live with addresses as random as some kernels make them."""
    bits = Path("/proc/sys/vm/mmap_rnd_bits")
    random = mode == "tsan" and bits.exists() and int(bits.read_text()) > 28
    setarch = shutil.which("setarch")
    return [setarch, "-R"] if random and setarch else []
