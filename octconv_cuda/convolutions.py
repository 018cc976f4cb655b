"""The three operators from at most three of PyTorch's convolutions each, for any device and dtype.

The formulas are those of the package's ``reference``, arranged so that nothing is done twice. Both
directions are one function, ``_octave``:

- the low input meets its two weights, W_LH and W_LL, in one convolution;
- the input gradient is an octave convolution of the output gradient by the same weight transposed,
  where pool sums instead of averaging and up divides by the pixels that pool would have averaged;
- at stride 2 the layer is the stride-1 operator of z = [pool(x_high); x_low], a map without low
  part.

The arguments are those of the schemas in ``csrc/ops.cpp``. A part is absent when it is None or has
no channels. ``allow_tf32`` and ``family`` are for kernels of this library; PyTorch's convolutions
follow PyTorch's own setting.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .operands import check_forward, check_input_grad, check_weight_grad
from .problem import Pair, channels, low_size

__all__ = [
    "as_channels_last",
    "empty_part",
    "empty_weight",
    "forward",
    "input_grad",
    "is_channels_last",
    "pool2x2",
    "pool_concat",
    "weight_grad",
]


def forward(
    x_high: Tensor | None,
    x_low: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    high_out: int,
    size: Pair,
    stride: int,
    allow_tf32: bool,
    family: str = "",
) -> tuple[Tensor, Tensor]:
    """y_high (N, high_out, H', W') and y_low, channels_last; without channels where absent."""
    check_forward(x_high, x_low, weight, bias, high_out, size, stride)
    x_high, x_low = as_channels_last(x_high), as_channels_last(x_low)
    if stride == 2:
        x_high, x_low, size = pool_concat(x_high, x_low), None, low_size(size)
    pad = [k // 2 for k in weight.shape[2:]]
    channels_out = (high_out, weight.shape[0] - high_out)
    from_high, from_low = weight.split_with_sizes(channels(x_high, x_low), 1)
    return _octave(
        lambda x, w, b: F.conv2d(x, w, b, padding=pad),
        x_high,
        x_low,
        from_high.split_with_sizes(channels_out),
        from_low,
        bias,
        channels_out,
        size,
        adjoint=False,
    )


def input_grad(
    dy_high: Tensor,
    dy_low: Tensor,
    weight: Tensor,
    high_in: int,
    size: Pair,
    stride: int,
    allow_tf32: bool,
    family: str = "",
) -> tuple[Tensor, Tensor]:
    """dx_high (N, high_in, H, W) and dx_low, channels_last; without channels where absent."""
    check_input_grad(dy_high, dy_low, weight, high_in, size, stride)
    low_in = weight.shape[1] - high_in
    from_high, from_low = weight.split_with_sizes((dy_high.shape[1], dy_low.shape[1]))

    def octave(channels: Pair, size: Pair) -> tuple[Tensor, Tensor]:
        return _octave(
            lambda dy, w, _: _conv_input_grad(dy, w),
            as_channels_last(dy_high),
            as_channels_last(dy_low),
            from_high.split_with_sizes(channels, 1),
            from_low,
            None,
            channels,
            size,
            adjoint=True,
        )

    if stride == 1:
        return octave((high_in, low_in), size)
    dz, _ = octave((high_in + low_in, 0), low_size(size))
    dx_high = empty_part(dz, high_in, size)
    if high_in:
        _upsample(dx_high, dz[:, :high_in], accumulate=False, mean=True)
    return dx_high, empty_part(dz, low_in, low_size(size)).copy_(dz[:, high_in:])


def weight_grad(
    x_high: Tensor | None,
    x_low: Tensor | None,
    dy_high: Tensor,
    dy_low: Tensor,
    size: Pair,
    kernel_size: Pair,
    stride: int,
    allow_tf32: bool,
    channels_last: bool = False,
    family: str = "",
    bias: bool = True,
    float32: bool = False,
) -> tuple[Tensor, Tensor]:
    """Gradients: dW (C_out, C_in, k_h, k_w), contiguous or channels_last, and dbias (C_out).

    ``bias``: whether dbias is asked for; it has no elements else.
    ``float32``: both in float32, where the maps are of a 16-bit type, and not rounded to that.
    """
    check_weight_grad(x_high, x_low, dy_high, dy_low, size, kernel_size, stride)
    if float32 and dy_high.dtype.itemsize == 2:
        x_high, x_low = (None if x is None else x.float() for x in (x_high, x_low))
        dy_high, dy_low = dy_high.float(), dy_low.float()
    x_high, x_low = as_channels_last(x_high), as_channels_last(x_low)
    if stride == 2:
        x_high, x_low = pool_concat(x_high, x_low), None
    (high_in, low_in), (high_out, low_out) = channels(x_high, x_low), channels(dy_high, dy_low)
    shape = (high_out + low_out, high_in + low_in, *kernel_size)
    dw = empty_weight(dy_high, shape, channels_last)
    if bias:
        dbias = torch.cat([dy_high.sum((0, 2, 3)), dy_low.sum((0, 2, 3))])
    else:
        dbias = dy_high.new_empty(0)
    high, low = as_channels_last(dy_high), as_channels_last(dy_low)
    if high is not None:
        if x_high is not None:
            dw[:high_out, :high_in] = _conv_weight_grad(x_high, high, kernel_size)
        if x_low is not None:
            dw[:high_out, high_in:] = _conv_weight_grad(
                x_low, pool2x2(high, mean=False), kernel_size
            )
    if low is not None:
        z = pool_concat(x_high, x_low)
        assert z is not None
        dw[high_out:] = _conv_weight_grad(z, low, kernel_size)
    return dw, dbias


def _octave(
    conv: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    high: Tensor | None,
    low: Tensor | None,
    from_high: Sequence[Tensor],
    from_low: Tensor,
    bias: Tensor | None,
    channels: Pair,
    size: Pair,
    *,
    adjoint: bool,
) -> tuple[Tensor, Tensor]:
    """High: conv(high) + up(conv(low)); low: conv(pool(high)) + conv(low).

    The low part meets both its weights at once, ``from_low``; ``from_high`` are those of the high
    part, to high and to low. ``channels`` are those of the two results, ``size`` is (H, W) of the
    high one. ``adjoint``: pool sums, up divides by the pixels of its window.
    """
    b_high, b_low = (None, None) if bias is None else bias.split_with_sizes(channels)
    to_high = to_low = None
    if low is not None:
        product = conv(low, from_low, bias if high is None else None)
        to_high, to_low = product.split_with_sizes(channels, 1)
    if high is None:
        assert low is not None
        assert to_high is not None
        assert to_low is not None
        y_high = empty_part(low, channels[0], size)
        if channels[0]:
            _upsample(y_high, to_high, accumulate=False, mean=adjoint)
        return y_high, empty_part(low, channels[1], low_size(size)).copy_(to_low)
    if channels[0]:
        y_high = _exact_strides(conv(high, from_high[0], b_high))
        if to_high is not None:
            _upsample(y_high, to_high, accumulate=True, mean=adjoint)
    else:
        y_high = empty_part(high, 0, size)
    if channels[1]:
        pooled = pool2x2(high, mean=not adjoint)
        y_low = _exact_strides(conv(pooled, from_high[1], b_low))
        if to_low is not None:
            y_low += to_low
    else:
        y_low = empty_part(high, 0, low_size(size))
    return y_high, y_low


def pool2x2(high: Tensor, low: Tensor | None = None, mean: bool = True) -> Tensor:
    """[pool(high); low] by the operator, whoever serves it."""
    pooled: Tensor = torch.ops.octconv_cuda.pool2x2(high, low, mean)
    return pooled


def pool_concat(x_high: Tensor | None, x_low: Tensor | None) -> Tensor | None:
    """[pool(x_high); x_low], of which the layer at stride 2 is one of stride 1."""
    return x_low if x_high is None else pool2x2(x_high, x_low)


def _upsample(out: Tensor, low: Tensor, *, accumulate: bool, mean: bool) -> None:
    torch.ops.octconv_cuda.upsample2x2_(out, low, accumulate, mean)


def _conv_input_grad(dy: Tensor, weight: Tensor) -> Tensor:
    """As fast as autograd's own, which a transposed convolution is not everywhere."""
    x = empty_part(dy, weight.shape[1], (dy.shape[2], dy.shape[3]))  # it only lends its shape
    return _conv_backward(dy, x, weight, 0)


def _conv_weight_grad(x: Tensor, dy: Tensor, kernel_size: Pair) -> Tensor:
    # Taps further out than the map is large meet no pixel. Of bfloat16 oneDNN gets some wrong.
    reach = [min(k // 2, extent - 1) for k, extent in zip(kernel_size, x.shape[2:], strict=True)]
    inner = [2 * r + 1 for r in reach]
    # It only lends its shape; but of a contiguous one oneDNN takes up to twice as long.
    weight = empty_weight(x, (dy.shape[1], x.shape[1], *inner), channels_last=True)
    dw = _conv_backward(dy, x, weight, 1)
    rows, columns = (k // 2 - r for k, r in zip(kernel_size, reach, strict=True))
    return F.pad(dw, (columns, columns, rows, rows)) if rows or columns else dw


def _conv_backward(dy: Tensor, x: Tensor, weight: Tensor, which: int) -> Tensor:
    """One gradient of a "same" convolution: 0 of its input, 1 of its weight."""
    pad = [k // 2 for k in weight.shape[2:]]
    mask = [which == i for i in range(3)]
    result: Tensor = torch.ops.aten.convolution_backward(
        dy, x, weight, None, [1, 1], pad, [1, 1], False, [0, 0], 1, mask
    )[which]
    return result


def as_channels_last(x: Tensor | None) -> Tensor | None:
    """The part in channels_last, or None if it is absent."""
    return x.contiguous(memory_format=torch.channels_last) if x is not None and x.shape[1] else None


def is_channels_last(x: Tensor) -> bool:
    """Whether it has just the strides that channels_last gives, also where a size is 1.

    PyTorch's own test takes such sizes lightly, where DistributedDataParallel compares strides.
    """
    _, c, h, w = x.shape
    return x.stride() == (c * h * w, 1, c * w, c)


def empty_part(like: Tensor, channels: int, size: Pair) -> Tensor:
    """An empty (N, channels, *size) in channels_last; dtype, device and N are those of ``like``."""
    return torch.empty(
        (like.shape[0], channels, *size),
        dtype=like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )


def empty_weight(like: Tensor, shape: Sequence[int], channels_last: bool) -> Tensor:
    """An empty weight in one of its two layouts; dtype and device are those of ``like``."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)


def _exact_strides(y: Tensor) -> Tensor:
    """The same values in the strides of channels_last.

    A copy and no view where they differ: autograd lets nobody change such a view in place.
    """
    if is_channels_last(y):
        return y
    return empty_part(y, y.shape[1], (y.shape[2], y.shape[3])).copy_(y)
