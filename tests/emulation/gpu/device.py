"""The probes and gemm on a GPU, through the library of build.py: numpy in, numpy out."""

import ctypes
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np


class GpuError(RuntimeError):
    """What the CUDA runtime, or the library, says went wrong."""


class Gpu:
    """A process of its own runs the kernels, since a fault of one ends all use of CUDA in it."""

    def __init__(self, library: Path) -> None:
        self._library = str(library)
        self._process: ProcessPoolExecutor | None = None

    def probe(self, name: str, data: np.ndarray, out_bytes: int) -> np.ndarray:
        """The bytes that a probe writes."""
        return self._run("probe", np.empty(out_bytes, np.uint8), 2, name.encode(), data)

    def gemm(self, dtype: str, a: np.ndarray, b: np.ndarray, splits: int) -> np.ndarray:
        """a (m, k) times b (n, k) transposed; 16-bit types as patterns."""
        (m, k), n = a.shape, len(b)
        out = np.empty((m, n), a.dtype)
        return self._run("gemm", out, 3, dtype.encode(), a, b, m, n, k, splits)

    def close(self) -> None:
        if self._process is not None:
            self._process.shutdown()
            self._process = None

    def _run(self, function: str, out: np.ndarray, at: int, *arguments: Any) -> np.ndarray:
        if self._process is None:
            self._process = ProcessPoolExecutor(1, get_context("spawn"))
        call = self._process.submit(_call, self._library, function, out, at, *arguments)
        try:
            return call.result()
        except Exception:
            self.close()
            raise


def _call(library: str, function: str, out: np.ndarray, at: int, *arguments: Any) -> np.ndarray:
    """Calls a function with `out` as its argument number `at`, and returns that."""
    call = getattr(ctypes.CDLL(library), function)
    call.restype = ctypes.c_char_p
    arguments = (*arguments[:at], out, *arguments[at:])
    message = call(*(a.ctypes if isinstance(a, np.ndarray) else a for a in arguments))
    if message is not None:
        raise GpuError(message.decode())
    return out
