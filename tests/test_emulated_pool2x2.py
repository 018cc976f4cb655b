"""The text of csrc/kernels/pool2x2*.cuh in the emulation, against the CPU operators.

What this proves is the arithmetic and every address (alignment, and bounds by the sanitizers), not
that a GPU agrees.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from cases import DTYPES, half
from emulation.emulator import RUNS, Emulator, Run
from emulators import ASAN, PLAIN, TSAN
from torch import Tensor

Get = Callable[[str], Emulator]
Place = tuple[int, int, int, int]


def memory_of(x: Tensor | None) -> tuple[np.ndarray, Place]:
    """The storage behind a map, and where the map lies in it."""
    if x is None:
        return np.empty(0, np.uint8), (0, 0, 0, 0)
    storage = x.new_empty(0).set_(x.untyped_storage())
    batch, _, row, pixel = x.stride()
    return storage.view(torch.uint8).numpy(), (x.storage_offset(), batch, row, pixel)


def emulate(
    emulator: Emulator, high: Tensor, low: Tensor | None, mean: bool, run: Run | None = None
) -> tuple[Tensor, int, dict[str, int]]:
    """What the kernel makes of high and low, the elements of its accesses, the counters."""
    n, c, h, w = high.shape
    low_channels = 0 if low is None else low.shape[1]
    name = str(high.dtype).removeprefix("torch.")
    arguments = (tuple(high.shape), low_channels, mean, *memory_of(high), *memory_of(low))
    memory, vector, counters = emulator("pool2x2", name, *arguments, run=run)
    out = torch.from_numpy(memory).view(high.dtype)
    out = out.reshape(n, *half((h, w)), c + low_channels).permute(0, 3, 1, 2)
    return out, vector, counters


def channels_last(n: int, c: int, h: int, w: int, dtype: torch.dtype, offset: int = 0) -> Tensor:
    """Random numbers, in memory that starts `offset` elements behind an aligned address."""
    memory = torch.randn(offset + n * h * w * c).to(dtype)
    return memory[offset:].view(n, h, w, c).permute(0, 3, 1, 2)


@pytest.mark.parametrize("mode", [PLAIN, ASAN])
@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gives_the_bits_of_the_cpu(emulator_in: Get, mode, dtype, mean):
    vector = 16 // dtype.itemsize
    for size in ((1, 1), (7, 9), (8, 6), (2, 37)):
        for high_channels, low_channels in ((2 * vector, vector), (vector, 0), (5, 3), (300, 0)):
            high = channels_last(2, high_channels, *size, dtype)
            low = channels_last(2, low_channels, *half(size), dtype) if low_channels else None
            out, width, _ = emulate(emulator_in(mode), high, low, mean)
            assert torch.equal(out, torch.ops.octconv_cuda.pool2x2(high, low, mean))
            fits = high_channels % vector == low_channels % vector == 0
            assert width == (vector if fits else 1)


@pytest.mark.parametrize("mode", [PLAIN, ASAN])
@pytest.mark.parametrize("dtype", DTYPES)
def test_slices_and_misaligned_memory(emulator_in: Get, mode, dtype):
    """Accesses of 16 bytes are used exactly where they are legal; the emulation fails elsewhere."""
    vector = 16 // dtype.itemsize
    wide = channels_last(3, 4 * vector, 5, 6, dtype)
    low = channels_last(3, vector, 3, 3, dtype)
    off = channels_last(3, 2 * vector, 5, 6, dtype, offset=1)
    odd_row = torch.randn(3, 5, 6 * 2 * vector + 1).to(dtype)[:, :, 1:]
    odd_row = odd_row.unflatten(2, (6, 2 * vector)).permute(0, 3, 1, 2)
    cases = {
        "aligned slice": (wide[:, vector : 3 * vector], low, vector),
        "misaligned slice": (wide[:, 1 : 1 + 2 * vector], low, 1),
        "crop": (wide[1:, :, 1:, 2:5], low[1:, :, 1:, 1:], vector),
        "misaligned base": (off, low, 1),
        "misaligned low": (
            wide[:, : 2 * vector],
            channels_last(3, vector, 3, 3, dtype, offset=1),
            1,
        ),
        "misaligned rows": (odd_row, low, 1),
        "no images": (wide[:0], low[:0], vector),
    }
    for name, (high, x_low, width) in cases.items():
        out, used, _ = emulate(emulator_in(mode), high, x_low, True)
        assert torch.equal(out, torch.ops.octconv_cuda.pool2x2(high, x_low, True)), name
        assert used == width, name


@pytest.mark.parametrize("mode", [PLAIN, TSAN])
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode):
    high = channels_last(2, 16, 5, 6, torch.bfloat16)
    low = channels_last(2, 8, 3, 3, torch.bfloat16)
    expected = torch.ops.octconv_cuda.pool2x2(high, low, True)
    for run in RUNS:
        assert torch.equal(emulate(emulator_in(mode), high, low, True, run)[0], expected), run


@pytest.mark.parametrize("mode", [PLAIN])
def test_moves_each_byte_once(emulator_in: Get, mode):
    high = channels_last(2, 64, 8, 8, torch.bfloat16)
    low = channels_last(2, 32, 4, 4, torch.bfloat16)
    out, _, counters = emulate(emulator_in(mode), high, low, True)
    assert counters["launches"] == 1
    assert counters["sectors_read"] == (high.numel() + low.numel()) * 2 // 32
    assert counters["sectors_written"] == out.numel() * 2 // 32


@pytest.mark.parametrize("mode", [PLAIN, ASAN])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 6), (2, 37)], ids=str)
def test_gradients_have_the_bits_of_the_cpu(emulator_in: Get, mode, dtype, size):
    vector = 16 // dtype.itemsize
    even = (2 * vector, vector), (vector, 0), (40 * vector, 3 * vector)
    for high, low in (*even, (28, 4), (5, 3), (30, 2)):
        dz = channels_last(2, high + low, *half(size), dtype)
        name = str(dtype).removeprefix("torch.")
        shape = (2, high, *size)
        *parts, counters = emulator_in(mode)(
            "pool2x2_input_grad", name, shape, low, memory_of(dz)[0]
        )
        dx_high, dx_low = (
            torch.from_numpy(part).view(dtype).view(2, *extent, c).permute(0, 3, 1, 2)
            for part, extent, c in zip(parts, (size, half(size)), (high, low), strict=True)
        )
        expected = torch.empty_like(dx_high)
        torch.ops.octconv_cuda.upsample2x2_(expected, dz[:, :high], False, True)
        assert torch.equal(dx_high, expected)
        assert torch.equal(dx_low, dz[:, high:])
        assert counters["launches"] == 1
