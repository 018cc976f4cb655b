"""What one layer costs: multiply-adds and activation elements, from shapes alone.

Relative to the vanilla layer with the same channels, with alpha on both sides and even sizes, they
are 1 - 3/4 alpha (2 - alpha) and 1 - 3/4 alpha (Chen et al. 2019, table 1). A vanilla layer is the
split (C, 0).
"""

from ..problem import Pair, check_channels, check_count, is_depthwise, is_int, is_pair, low_size

__all__ = ["activation_elements", "macs"]


def macs(
    in_channels: Pair,
    out_channels: Pair,
    kernel_size: Pair,
    size: Pair,
    *,
    stride: int = 1,
    groups: int = 1,
    batch: int = 1,
) -> int:
    """Multiply-adds of one forward pass's convolutions; pool, upsampling and adds are left out.

    Args:
        in_channels: (C_high, C_low) of the input.
        out_channels: (C_high, C_low) of the output.
        kernel_size: (k_h, k_w).
        size: (H, W) of the high input.
        stride: 1, or 2 (pool first, then convolve at stride 1).
        groups: Groups of each path; groups = C_in > 1 is depthwise, without exchange.
        batch: N.

    Raises:
        TypeError: What is no int, or no pair of ints.
        ValueError: groups that do not divide, negative numbers, a stride other than 1 and 2.
    """
    _check_pairs("macs", in_channels=in_channels, out_channels=out_channels)
    _check_pairs("macs", kernel_size=kernel_size, size=size)
    check_count("macs", "batch", batch, 0)
    check_count("macs", "groups", groups)
    check_channels("macs", in_channels, out_channels, groups)
    if not is_int(stride) or stride not in (1, 2):
        raise ValueError(f"macs: stride must be 1 or 2, got {stride}")
    high_size = size if stride == 1 else low_size(size)
    pixels_high, pixels_low = _area(high_size), _area(low_size(high_size))
    (high_in, low_in), (high_out, low_out) = in_channels, out_channels
    if is_depthwise(in_channels, groups):
        products = high_out * pixels_high + low_out * pixels_low
    else:
        low_to_high_pixels = pixels_low if stride == 1 else pixels_high
        products = (
            high_in * high_out * pixels_high
            + low_in * high_out * low_to_high_pixels
            + (high_in + low_in) * low_out * pixels_low
        ) // groups
    return batch * products * kernel_size[0] * kernel_size[1]


def activation_elements(channels: Pair, size: Pair, *, batch: int = 1) -> int:
    """Elements of a map with (C_high, C_low) channels whose high part has (H, W) = size pixels.

    Raises:
        TypeError, ValueError: As ``macs``.
    """
    _check_pairs("activation_elements", channels=channels, size=size)
    check_count("activation_elements", "batch", batch, 0)
    return batch * (channels[0] * _area(size) + channels[1] * _area(low_size(size)))


def _check_pairs(function: str, **pairs: object) -> None:
    for name, pair in pairs.items():
        if not is_pair(pair):
            raise TypeError(f"{function}: {name} must be a pair of ints, got {pair!r}")
        if min(pair) < 0:
            raise ValueError(f"{function}: {name} must have no negative part, got {pair}")


def _area(size: Pair) -> int:
    return size[0] * size[1]
