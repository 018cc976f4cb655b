"""The shortest time that a device could take, by its data sheet: an estimate, not a measurement."""

from typing import NamedTuple

from .network import NetworkCost

__all__ = ["DEVICES", "ITEM_SIZES", "Device", "roofline_seconds"]

# Bytes of an element, by the dtypes that there are rates of.
ITEM_SIZES = {"float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2}


class Device(NamedTuple):
    """Peak rates of a device.

    Attributes:
        name: For people.
        flops_per_second: Dense, by dtype: float32, tf32, bfloat16 (float16 has its rate).
        bytes_per_second: Of its memory.
        source: Where the numbers stand.
    """

    name: str
    flops_per_second: dict[str, float]
    bytes_per_second: float
    source: str


_HOPPER = {"float32": 66.9e12, "tf32": 494.7e12, "bfloat16": 989.4e12}
# Data sheets give the rates of tensor cores with sparsity; these are the dense ones.
DEVICES = {
    "a100": Device(
        "NVIDIA A100 80GB SXM",
        {"float32": 19.5e12, "tf32": 156e12, "bfloat16": 312e12},
        2.039e12,
        "NVIDIA A100 Tensor Core GPU data sheet",
    ),
    "h100": Device(
        "NVIDIA H100 SXM5", _HOPPER, 3.35e12, "NVIDIA H100 Tensor Core GPU architecture, table 2"
    ),
    "h200": Device("NVIDIA H200 SXM", _HOPPER, 4.8e12, "NVIDIA H200 Tensor Core GPU data sheet"),
    "l4": Device(
        "NVIDIA L4",
        {"float32": 30.3e12, "tf32": 60e12, "bfloat16": 121e12},
        0.3e12,
        "NVIDIA L4 Tensor Core GPU data sheet",
    ),
    "rtx4090": Device(
        "NVIDIA GeForce RTX 4090",
        {"float32": 82.6e12, "tf32": 82.6e12, "bfloat16": 165.2e12},
        1.008e12,
        "NVIDIA Ada GPU architecture, appendix A",
    ),
}


def roofline_seconds(cost: NetworkCost, device: Device, dtype: str = "bfloat16") -> float:
    """The sum over layers of the longer of arithmetic and memory traffic, nothing else counted.

    Each layer reads its input and parameters and writes its output once, so that norms and
    activations must be fused into it, and caches keep nothing from one layer to the next.

    Args:
        cost: Of one forward pass, with its batch.
        device: One of ``DEVICES``, or your own.
        dtype: "float32", "tf32", "bfloat16" or "float16".

    Raises:
        TypeError: Another cost or device.
        ValueError: Another dtype, or one of which the device has no rate; rates that are not
            positive.
    """
    for name, value, kind in (("cost", cost, NetworkCost), ("device", device, Device)):
        if not isinstance(value, kind):
            raise TypeError(
                f"roofline_seconds: {name} must be a {kind.__name__}, got {type(value).__name__}"
            )
    peaks = device.flops_per_second
    rates = {d: peaks.get("bfloat16" if d == "float16" else d) for d in ITEM_SIZES}
    rate = rates.get(dtype) if isinstance(dtype, str) else None
    if rate is None:
        known = tuple(d for d in rates if rates[d] is not None)
        raise ValueError(
            f"roofline_seconds: dtype must be one of {known} for {device.name}, got {dtype!r}"
        )
    if rate <= 0 or device.bytes_per_second <= 0:
        raise ValueError(
            f"roofline_seconds: rates must be positive, got {rate} operations and "
            f"{device.bytes_per_second} bytes per second for {device.name}"
        )
    size = ITEM_SIZES[dtype]
    return sum(
        max(
            2 * layer.macs / rate,
            size * (layer.inputs + layer.parameters + layer.outputs) / device.bytes_per_second,
        )
        for layer in cost.layers
    )
