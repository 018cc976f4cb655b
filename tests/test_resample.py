"""pool2x2 and upsample2x2_: the native operators, and what stands in for them on other devices."""

import json

import pytest
import torch
import torch.nn.functional as F
from cases import DTYPES, half
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from octconv_cuda import ops, reference, resample

NATIVE = torch.ops.octconv_cuda
SIZES = [(1, 1), (1, 6), (7, 1), (8, 8), (7, 9), (5, 4)]


def layouts(x: Tensor) -> dict[str, Tensor]:
    """The same values in every kind of memory."""
    n, c, h, w = x.shape
    wide = x.new_full((n, c + 5, h, w), torch.nan).contiguous(memory_format=torch.channels_last)
    cropped = x.new_full((n, h + 2, w + 3, c), torch.nan).permute(0, 3, 1, 2)
    transposed = x.new_empty((w, n, h, c)).permute(1, 3, 2, 0)
    views = {
        "contiguous": x.new_empty(x.shape),
        "channels_last": x.new_empty(x.shape).contiguous(memory_format=torch.channels_last),
        "channel slice": wide[:, 3 : 3 + c],
        "crop": cropped[:, :, 1 : 1 + h, 2 : 2 + w],
        "transposed": transposed,
    }
    for view in views.values():
        view.copy_(x)
    return views


def integers(*shape: int, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """Small multiples of 4: sums, means and their roundings are exact in every dtype."""
    return 4 * torch.randint(-8, 9, shape, device=device).to(dtype)


def wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def pooled(x: Tensor, mean: bool) -> Tensor:
    """The definition: formed in float32 (or float64) and rounded once."""
    divisor = None if mean else 1
    z = F.avg_pool2d(
        x.to(wide(x.dtype)), 2, ceil_mode=True, count_include_pad=False, divisor_override=divisor
    )
    return z.to(x.dtype)


def upsampled(out: Tensor, low: Tensor, accumulate: bool, mean: bool) -> Tensor:
    size = (out.shape[2], out.shape[3])
    value = low.to(wide(out.dtype))
    if mean:
        value = value / pooled(torch.ones_like(out, dtype=value.dtype), mean=False)
    value = reference.up(value, size)
    return (out.to(value.dtype) + value if accumulate else value).to(out.dtype)


@pytest.fixture(params=["native", "stand-in"])
def implementation(request: pytest.FixtureRequest) -> object:
    return NATIVE if request.param == "native" else resample


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pool_in_every_layout(implementation, device, dtype, mean):
    for h, w in SIZES:
        high = integers(2, 11, h, w, dtype=dtype, device=device)
        low = integers(2, 3, *half((h, w)), dtype=dtype, device=device)
        expected = torch.cat([pooled(high, mean), low], 1)
        for (name, x), x_low in zip(layouts(high).items(), layouts(low).values(), strict=True):
            z = implementation.pool2x2(x, x_low, mean)
            assert torch.equal(z, expected), (name, h, w)
            assert z.stride() == torch.empty(z.shape, memory_format=torch.channels_last).stride()


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("accumulate", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_upsample_in_every_layout(implementation, device, dtype, accumulate, mean):
    for h, w in SIZES:
        start = integers(2, 11, h, w, dtype=dtype, device=device)
        low = integers(2, 11, *half((h, w)), dtype=dtype, device=device)
        expected = upsampled(start, low, accumulate, mean)
        for (name, out), x_low in zip(layouts(start).items(), layouts(low).values(), strict=True):
            assert implementation.upsample2x2_(out, x_low, accumulate, mean) is None
            assert torch.equal(out, expected), (name, h, w)


def test_the_memory_around_an_output_is_left_alone(device):
    memory = torch.full((2, 6, 7, 12), 5.0, device=device)
    out = memory.permute(0, 3, 1, 2)[:, 2:9, 1:6, 1:4]
    NATIVE.upsample2x2_(out, torch.zeros(2, 7, 3, 2, device=device), False, False)
    assert (out == 0).all()
    assert memory.sum() == 5 * (memory.numel() - out.numel())


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_numbers_are_rounded_once(device, dtype):
    """Bit for bit, over the whole range of exponents."""
    scale = torch.exp2(torch.randint(-20, 12, (3, 37, 9, 7)))
    high = (torch.randn(3, 37, 9, 7) * scale).to(device, dtype)
    low = (torch.randn(3, 37, 5, 4) * scale[:, :, :5, :4]).to(device, dtype)
    for mean in (True, False):
        assert torch.equal(NATIVE.pool2x2(high, None, mean), pooled(high, mean))
    if "upsample2x2_" not in ops.native_kernels(device.type):
        pytest.skip(f"upsample2x2_ has no kernel on {device.type}")
    for accumulate, mean in ((True, True), (True, False), (False, True)):
        out = high.clone(memory_format=torch.channels_last)
        NATIVE.upsample2x2_(out, low, accumulate, mean)
        assert torch.equal(out, upsampled(high, low, accumulate, mean))


@pytest.mark.parametrize("channels", [1 << 16, 4])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_16_bit_number_survives(device, dtype, channels):
    bits = torch.arange(1 << 16, device=device).to(torch.uint16).view(dtype)
    x = bits.reshape(-1, channels, 1, 1)
    torch.testing.assert_close(
        NATIVE.pool2x2(x, None, True), x, rtol=0, atol=0, equal_nan=True, check_stride=False
    )


@given(
    batch=st.integers(0, 3),
    channels=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_pool_and_upsample_of_any_geometry(batch, channels, size):
    high = integers(batch, channels[0], *size, dtype=torch.float32)
    low = integers(batch, channels[1], *half(size), dtype=torch.float32)
    z = NATIVE.pool2x2(high, low, False)
    if batch and channels[0]:
        assert torch.equal(z[:, : channels[0]], pooled(high, False))
    assert torch.equal(z[:, channels[0] :], low)
    out = torch.zeros(batch, channels[1], *size)
    NATIVE.upsample2x2_(out, low, True, False)
    assert torch.equal(out, reference.up(low, size) if out.numel() else out)


@pytest.mark.parametrize("mean", [True, False])
def test_upsample_is_the_adjoint_of_pool(device, mean):
    """<pool(x), y> = <x, up(y)>; the mean belongs to the mean."""
    x = torch.randn(2, 5, 7, 9, dtype=torch.float64, device=device)
    y = torch.randn(2, 5, 4, 5, dtype=torch.float64, device=device)
    up = torch.empty_like(x)
    NATIVE.upsample2x2_(up, y, False, mean)
    torch.testing.assert_close((NATIVE.pool2x2(x, None, mean) * y).sum(), (x * up).sum())


def test_threads_do_not_change_a_bit():
    x, low = torch.randn(3, 64, 41, 53), torch.randn(3, 64, 21, 27)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            out = x.clone(memory_format=torch.channels_last)
            NATIVE.upsample2x2_(out, low, True, True)
            results.append((NATIVE.pool2x2(x, low, True), out))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_inputs_may_be_expanded(device):
    x = torch.randn(1, 1, 1, 1, device=device).expand(2, 9, 5, 6)
    assert torch.equal(NATIVE.pool2x2(x, None, True), x[:, :, :3, :3])
    out = torch.zeros(2, 9, 5, 6, device=device)
    NATIVE.upsample2x2_(out, x[:, :, :3, :3], True, False)
    assert torch.equal(out, x)


def test_operators_keep_the_rules_of_torch_library(device):
    high, low = torch.randn(2, 6, 5, 7, device=device), torch.randn(2, 6, 3, 4, device=device)
    tests = ("test_schema", "test_faketensor")
    for second in (low, None):
        torch.library.opcheck(NATIVE.pool2x2.default, (high, second, True), test_utils=tests)
    torch.library.opcheck(NATIVE.upsample2x2_.default, (high, low, True, True), test_utils=tests)


Z = torch.zeros
HIGH = Z(2, 16, 28, 28)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((Z(3, 4), None), r"high must be \(N, C, H, W\), got \(3, 4\)"),
        ((Z(()), None), r"high must be \(N, C, H, W\), got \(\)"),
        ((Z(2, 1, 0, 3), None), r"high must have a positive height and width, got \(2, 1, 0, 3\)"),
        ((Z(1, 1, 2, 2, dtype=torch.int64), None), "high must be float32, float64, .*, got Long"),
        (
            (HIGH, Z(2, 8, 13, 14)),
            r"low must be \(2, C, 14, 14\) to match high \(2, 16, 28, 28\), got \(2, 8, 13, 14\)",
        ),
        ((HIGH, Z(1, 8, 14, 14)), r"low must be \(2, C, 14, 14\) .*, got \(1, 8, 14, 14\)"),
        ((HIGH, Z(8)), r"low must be \(2, C, 14, 14\) .*, got \(8,\)"),
        ((HIGH, Z(2, 8, 14, 14).half()), "low must be float32 like high, got float16"),
    ],
)
def test_pool_says_what_is_wrong(arguments, text):
    with pytest.raises(RuntimeError, match=f"^octconv_cuda::pool2x2: {text}$"):
        NATIVE.pool2x2(*arguments, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((Z(2, 3), Z(2, 3)), r"out must be \(N, C, H, W\), got \(2, 3\)"),
        (
            (HIGH.clone(), Z(2, 8, 14, 14)),
            r"low must be \(2, 16, 14, 14\) to match out \(2, 16, 28, 28\), got \(2, 8, 14, 14\)",
        ),
        ((HIGH.clone(), Z(2, 16, 14, 14).double()), "low must be float32 like out, got float64"),
        (
            (Z(1, 1, 4, 4).expand(2, 3, 4, 4), Z(2, 3, 2, 2)),
            r"out must not overlap itself, got \(2, 3, 4, 4\) with strides \(0, 0, 4, 1\)",
        ),
        (
            (Z(1, 3, 4, 7).as_strided((1, 3, 4, 4), (84, 28, 6, 2)), Z(1, 3, 2, 2)),
            r"out must not overlap itself, got \(1, 3, 4, 4\) with strides \(84, 28, 6, 2\)",
        ),
    ],
)
def test_upsample_says_what_is_wrong(arguments, text):
    with pytest.raises(RuntimeError, match=f"^octconv_cuda::upsample2x2_: {text}$"):
        NATIVE.upsample2x2_(*arguments, True, False)
    assert not arguments[0].any()


def test_devices_do_not_mix(device):
    if device.type == "cpu":
        pytest.skip("needs a second device")
    with pytest.raises(RuntimeError, match=r"low must be on cuda:\d+ like high, got cpu"):
        NATIVE.pool2x2(HIGH.to(device), Z(2, 8, 14, 14), True)


def test_build_info_is_json():
    info = json.loads(NATIVE.build_info())
    assert info.keys() == {"sources", "torch", "nvcc", "archs"}
    assert (info["nvcc"] is None) == (info["archs"] == "")
    assert "pool2x2" in ops.native_kernels("cpu")
    assert ("pool2x2" in ops.native_kernels("cuda")) == (info["nvcc"] is not None)
