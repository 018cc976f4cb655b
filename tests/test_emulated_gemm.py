"""A whole kernel through the emulation: a matrix product with a pipeline and split-K."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from emulation.emulator import RUNS, Emulator, Run
from emulators import ASAN, PLAIN, PTX, TSAN
from oracle import assert_accurate
from torch import Tensor

Get = Callable[[str], Emulator]
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
# m, n, k: one pair, tails in each direction, whole tiles, more chunks than stages
SHAPES = ((1, 2, 8), (63, 66, 72), (64, 64, 64), (130, 70, 456))


def memory_of(x: Tensor) -> np.ndarray:
    """The elements; the 16-bit types as patterns, which numpy has no names for."""
    return (x if x.dtype == torch.float32 else x.view(torch.int16)).numpy()


def gemm(
    emulator: Emulator, a: Tensor, b: Tensor, splits: int, multiprocessors: int, run: Run | None
) -> tuple[Tensor, dict[str, int]]:
    name = str(a.dtype).removeprefix("torch.")
    memory, counters = emulator(
        "gemm", name, memory_of(a), memory_of(b), splits, multiprocessors, run=run
    )
    return torch.from_numpy(memory).view(a.dtype).view(len(a), len(b)), counters


def integers(m: int, n: int, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Operands whose product every type holds exactly."""
    a, b = (torch.randint(-1, 2, (rows, k)).to(dtype) for rows in (m, n))
    exact = (a.double() @ b.double().T).to(dtype)
    return a, b, exact


@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mode", [PLAIN, ASAN, PTX])
def test_exact_on_integers(emulator_in: Get, mode, dtype, shape, splits):
    a, b, exact = integers(*shape, dtype)
    result, counters = gemm(emulator_in(mode), a, b, splits, 1, None)
    assert torch.equal(result, exact)
    assert counters["launches"] == 1


@pytest.mark.parametrize("mode", [PLAIN, ASAN, TSAN])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode, dtype):
    a, b = torch.randn(70, 136).to(dtype), torch.randn(40, 136).to(dtype)
    results = [gemm(emulator_in(mode), a, b, 2, 1, run)[0] for run in RUNS]
    assert results[0].isfinite().all()
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("mode", [PLAIN])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_as_accurate_as_torch(emulator_in: Get, mode, dtype):
    a, b = torch.randn(64, 512).to(dtype), torch.randn(64, 512).to(dtype)
    result, _ = gemm(emulator_in(mode), a, b, 1, 1, None)
    # Without a GPU, tf32 is float32 on operands that have been rounded to it.
    rounded = (tf32(a), tf32(b)) if dtype == torch.float32 else (a, b)
    assert_accurate(result, rounded[0] @ rounded[1].T, a.double() @ b.double().T)


def tf32(x: Tensor) -> Tensor:
    """To the nearest number of 10 fraction bits, ties away from zero."""
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


@pytest.mark.parametrize("mode", [PLAIN])
def test_multiprocessors_decide_the_splits(emulator_in: Get, mode):
    a, b, exact = integers(64, 64, 512, torch.bfloat16)
    sectors = []
    for multiprocessors in (1, 4, 100):
        result, counters = gemm(emulator_in(mode), a, b, 0, multiprocessors, None)
        assert torch.equal(result, exact)
        sectors.append(counters["sectors_written"])
    # A split writes 64 x 64 partial sums of 4 bytes and, with its block, an arrival.
    out = 2 * 64 * 64 * 2 // 32  # a store of four lanes fills half a sector
    assert sectors == [out, out + 4 * (64 * 64 * 4 // 32 + 1), out + 8 * (64 * 64 * 4 // 32 + 1)]


@pytest.mark.parametrize("mode", [PLAIN])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_counters_are_those_of_the_tile(emulator_in: Get, mode, dtype):
    """Two blocks of one tile each, three chunks deep."""
    chunk = 128 // dtype.itemsize
    a, b, exact = integers(64, 128, 3 * chunk, dtype)
    result, counters = gemm(emulator_in(mode), a, b, 1, 1, None)
    assert torch.equal(result, exact)
    steps = 2 * 3 * 4 * 4  # blocks, chunks, steps of a chunk, warps
    assert counters["mma"] == steps * 2 * 4
    assert counters["ldmatrix"] == steps * 2 * 2
    assert counters["ldmatrix_wavefronts"] == 4 * counters["ldmatrix"]
    assert counters["copies"] == 2 * 3 * (2 * 64 * 8 // 32)
    assert counters["copy_wavefronts"] == 4 * counters["copies"]
    assert counters["bank_conflicts"] == 0
    assert counters["sectors_read"] == 2 * 3 * 2 * 64 * 128 // 32
    # Four lanes store neighbouring pairs: a whole sector, or half of one.
    written = exact.numel() * dtype.itemsize // 32
    assert counters["sectors_written"] == (written if dtype.itemsize == 4 else 2 * written)
