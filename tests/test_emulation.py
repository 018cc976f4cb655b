"""The text of the CUDA kernels, compiled by the host's compiler and run thread by thread.

What this proves is the arithmetic and every address (alignment, and bounds by the sanitizers), not
that a GPU agrees.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from cases import DTYPES, half
from torch import Tensor
from torch.utils import cpp_extension

TESTS = Path(__file__).parent
COMPILER = shutil.which("g++")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no g++")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("emulation") / "pool2x2"
    # The first folder holds the host twin of <device/ptx.cuh>.
    flags = [f"-I{TESTS / 'emulation'}", f"-I{TESTS.parent / 'csrc'}"]
    flags += [f"-isystem{path}" for path in cpp_extension.include_paths()]
    flags += ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    source = TESTS / "emulation" / "pool2x2.cpp"
    subprocess.run([COMPILER, *flags, source, "-o", program], check=True)
    return program


def memory_of(x: Tensor) -> tuple[bytes, list[int]]:
    """The storage behind a map, and where the map lies in it."""
    storage = x.new_empty(0).set_(x.untyped_storage())
    batch, _, row, pixel = x.stride()
    raw = bytes(storage.view(torch.uint8).numpy()) if storage.numel() else b""
    return raw, [storage.numel(), x.storage_offset(), batch, row, pixel]


def emulate(program: Path, high: Tensor, low: Tensor | None, mean: bool) -> tuple[Tensor, int]:
    """What the kernel makes of high and low, and how many elements its accesses had."""
    n, c, h, w = high.shape
    high_memory, high_place = memory_of(high)
    low_memory, low_place = (b"", [0] * 5) if low is None else memory_of(low)
    low_channels = 0 if low is None else low.shape[1]
    numbers = [n, h, w, c, low_channels, int(mean), *high_place, *low_place]
    result = subprocess.run(
        [program, str(high.dtype).removeprefix("torch."), *map(str, numbers)],
        input=high_memory + low_memory,
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr.decode()
    out = torch.tensor(bytearray(result.stdout), dtype=torch.uint8).view(high.dtype)
    out = out.reshape(n, *half((h, w)), c + low_channels).permute(0, 3, 1, 2)
    return out, int(result.stderr.decode().removeprefix("vector "))


def channels_last(n: int, c: int, h: int, w: int, dtype: torch.dtype, offset: int = 0) -> Tensor:
    """Random numbers, in memory that starts `offset` elements behind an aligned address."""
    memory = torch.randn(offset + n * h * w * c).to(dtype)
    return memory[offset:].view(n, h, w, c).permute(0, 3, 1, 2)


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pool2x2_gives_the_bits_of_the_cpu(emulator, dtype, mean):
    vector = 16 // dtype.itemsize
    for size in ((1, 1), (7, 9), (8, 6), (2, 37)):
        for high_channels, low_channels in ((2 * vector, vector), (vector, 0), (5, 3), (300, 0)):
            high = channels_last(2, high_channels, *size, dtype)
            low = channels_last(2, low_channels, *half(size), dtype) if low_channels else None
            out, width = emulate(emulator, high, low, mean)
            assert torch.equal(out, torch.ops.octconv_cuda.pool2x2(high, low, mean))
            fits = high_channels % vector == low_channels % vector == 0
            assert width == (vector if fits else 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pool2x2_of_slices_and_misaligned_memory(emulator, dtype):
    """Accesses of 16 bytes are used exactly where they are legal; the emulator aborts elsewhere."""
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
        out, used = emulate(emulator, high, x_low, True)
        assert torch.equal(out, torch.ops.octconv_cuda.pool2x2(high, x_low, True)), name
        assert used == width, name
