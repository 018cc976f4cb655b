"""The cost of a whole network: its modules run once on the meta device, which holds no values."""

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..maps import Maps, as_parts
from ..modules import OctConv2d
from .layer import macs

__all__ = ["Input", "LayerCost", "NetworkCost", "meta_copy", "meta_input", "network_cost"]

# A map, or the shape of a tensor.
Input = Maps | tuple[int, ...]


class LayerCost(NamedTuple):
    """One call of a convolution or linear layer.

    Attributes:
        name: Of the module.
        macs: Multiply-adds.
        parameters: Elements of its weight and bias.
        inputs, outputs: Elements of its maps.
    """

    name: str
    macs: int
    parameters: int
    inputs: int
    outputs: int


class NetworkCost(NamedTuple):
    """One forward pass of a network.

    Attributes:
        macs: Multiply-adds of all that ``torch.utils.flop_counter`` counts (convolutions and matrix
            products; no norms, activations, pooling, sums).
        parameters: Elements of all parameters.
        activations: Elements of the outputs of all convolution and linear layers: the feature maps
            that a training step keeps, or half of what layers read and write.
        layers: In the order of their calls.
    """

    macs: int
    parameters: int
    activations: int
    layers: tuple[LayerCost, ...]

    @property
    def flops(self) -> int:
        """Two operations for each multiply-add."""
        return 2 * self.macs


def network_cost(network: nn.Module, input: Input) -> NetworkCost:
    """What one forward pass costs.

    Args:
        network: Any module; it is neither run nor changed.
        input: What it takes: a map, or the shape of a tensor, such as (1, 3, 224, 224).
    """
    copied = meta_copy(network)
    layers: list[LayerCost] = []

    def record(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            own = sum(p.numel() for p in module.parameters(recurse=False))
            products = _macs(module, inputs[0], output)
            layers.append(LayerCost(name, products, own, _elements(inputs[0]), _elements(output)))

        return hook

    for name, module in copied.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(record(name))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copied(meta_input(input))
    return NetworkCost(
        counter.get_total_flops() // 2,
        sum(p.numel() for p in network.parameters()),
        sum(layer.outputs for layer in layers),
        tuple(layers),
    )


def meta_copy(network: nn.Module) -> nn.Module:
    """A copy for evaluation on the meta device, without copying values on the way."""
    tensors: Iterable[Tensor] = (*network.parameters(), *network.buffers())
    memo: dict[int, Any] = {}
    for tensor in tensors:
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(network, memo).eval()


def meta_input(input: Input) -> Maps:
    """The input on the meta device."""
    if not isinstance(input, Tensor) and all(isinstance(n, int) for n in input):
        return torch.empty(input, device="meta")  # type: ignore[arg-type]
    parts = as_parts("cost", input)  # type: ignore[arg-type]
    high, low = (None if part is None else part.to("meta") for part in parts)
    return high if isinstance(input, Tensor) and high is not None else (high, low)


def _macs(module: nn.Module, input: Maps, output: Maps) -> int:
    if isinstance(module, nn.Linear):
        return _elements(output) * module.in_features
    assert isinstance(module, nn.Conv2d)
    k_h, k_w = module.weight.shape[2:]
    if not isinstance(module, OctConv2d):
        return _elements(output) * module.weight.shape[1] * k_h * k_w
    high, low = as_parts("cost", input)
    present = low if high is None else high
    assert present is not None
    height, width = (n * (2 if high is None else 1) for n in present.shape[2:])
    return macs(
        module.in_split,
        module.out_split,
        (k_h, k_w),
        (height, width),
        stride=module.stride[0],
        groups=module.groups,
        batch=present.shape[0],
    )


def _elements(maps: Maps) -> int:
    return sum(part.numel() for part in as_parts("cost", maps) if part is not None)
