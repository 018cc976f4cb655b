"""Operators that compute keep no memory, nor does PyTorch of what it makes of their arguments."""

import ctypes
import gc
from collections.abc import Callable

import pytest
import torch
from emulated_operators import IN_CPP, EmulatedOperators
from emulation import build
from refusals import GOOD
from torch import nn

from octconv_cuda import OctaveBatchNorm2d, OctaveMaps, OctConv2d, fuse


class _Mallinfo2(ctypes.Structure):
    """Glibc's; ``uordblks``: bytes in use that are not mapped alone."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


_mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo2 is not None:
    _mallinfo2.restype = _Mallinfo2


def _counts() -> bool:
    """Whether it is glibc that allocates, and says what."""
    if _mallinfo2 is None:
        return False
    before = _mallinfo2().uordblks
    kept = [torch.empty(1000, dtype=torch.uint8) for _ in range(100)]
    return bool(kept and _mallinfo2().uordblks - before > 50_000)


pytestmark = pytest.mark.skipif(not _counts(), reason="another malloc than glibc's")


def check_keeps_nothing(call: Callable[[], object], calls: int = 200) -> None:
    """Raises where each call leaves 16 bytes or more behind, the least that malloc gives."""
    assert _mallinfo2 is not None
    grown = []
    for _ in range(4):  # what is made once does not come again
        gc.collect()
        before = _mallinfo2().uordblks
        for _ in range(calls):
            call()
        gc.collect()
        grown.append(_mallinfo2().uordblks - before)
    assert min(grown[1:]) < 16 * calls, grown


@pytest.mark.parametrize("operator", GOOD)
def test_operators(operator: str) -> None:
    function = getattr(torch.ops.octconv_cuda, operator)
    with torch.no_grad():
        check_keeps_nothing(lambda: function(**GOOD[operator]))


@pytest.mark.skipif(build.COMPILER is None, reason="no g++")
@pytest.mark.parametrize("family", ["none", "sm80", "sm90"])
def test_operators_on_cuda(family: str, emulated: EmulatedOperators) -> None:
    """Family none: what is left to PyTorch. Operands lie as kernels read them: no copies."""
    maps, weight = (as_read(1, 8, 2, 2), as_read(1, 8, 1, 1)), as_read(16, 16, 3, 3)
    ops, factors, flags = emulated.ops, 2 * (torch.ones(16),), ((2, 2), 1, True)

    def call() -> None:
        emulated.begin()
        ops.forward(*maps, weight, None, 8, *flags, family)
        ops.inference(*maps, weight, None, *factors, None, None, 2, 8, *flags, family)
        ops.input_grad(*maps, weight, 8, *flags, family)
        ops.weight_grad(*maps, *maps, (2, 2), (3, 3), 1, True, True, family)

    check_keeps_nothing(call, calls=20)


def as_read(*shape: int) -> torch.Tensor:
    return torch.randn(shape).bfloat16().contiguous(memory_format=torch.channels_last)


@IN_CPP
def test_tensor_maps_that_are_remembered_have_bounds(emulated: EmulatedOperators) -> None:
    """Tensors that never lie where some have lain need no more memory than as many before them.

    Each call has 11 maps; that of 400 is more than is remembered.
    """
    assert _mallinfo2 is not None
    arena, most = torch.zeros(800, 2344, dtype=torch.bfloat16), [0, 0]
    for i, memory in enumerate(arena):
        high, low, weight = (
            part.view(n, k, k, c).permute(0, 3, 1, 2)
            for part, (n, k, c) in zip(
                memory.split((32, 8, 2304)), ((1, 2, 8), (1, 1, 8), (16, 3, 16)), strict=True
            )
        )
        emulated.begin()
        emulated.ops.forward(high, low, weight, None, 8, (2, 2), 1, True, "sm90")
        assert emulated.maps() == 11
        most[i // 400] = max(most[i // 400], _mallinfo2().uordblks)
    assert most[1] < most[0] + 100_000


@pytest.mark.parametrize("fused", [False, True])
def test_layers(fused: bool) -> None:
    layer: nn.Module = OctConv2d(8, 8, 3)
    if fused:
        layer = fuse(nn.Sequential(layer, OctaveBatchNorm2d(8)).eval())
    x = OctaveMaps(torch.randn(1, 4, 6, 6), torch.randn(1, 4, 3, 3))

    def call() -> None:
        high, low = layer(x)
        if not fused:
            (high.sum() + low.sum()).backward()

    check_keeps_nothing(call)
