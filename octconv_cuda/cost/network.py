"""The cost of a whole network: its modules run once on the meta device, which holds no values."""

import copy
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from ..copying import kept_tensors
from ..fused import FusedConv2d
from ..maps import Maps, as_parts
from ..modules import OctConv2d
from ..problem import Pair, check_network, is_int, present
from .layer import macs

__all__ = ["Input", "LayerCost", "NetworkCost", "OnMeta", "meta_copy", "meta_input", "network_cost"]

# A map, or the shape of a tensor.
Input = Maps | tuple[int, ...]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED, FusedConv2d)


class LayerCost(NamedTuple):
    """One call of a convolution or linear layer.

    Attributes:
        name: Of the module.
        macs: Multiply-adds.
        parameters: Elements of its weight and bias, also where they are computed from others; of a
            fused layer its factors', too.
        inputs, outputs: Elements of its maps; of a fused layer without the residual's.
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
        parameters: Elements of all parameters, and of what fused layers have in their place.
        activations: Elements of the outputs of all convolution and linear layers: the feature maps
            that a training step keeps, or half of what layers read and write.
        layers: In the order of their calls; what modules compute by functions alone is no layer.
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
        network: Any module; it is neither run nor changed. A copy is run, without the weights'
            values but with its hooks.
        input: What it takes: a map, or the shape of a tensor, such as (1, 3, 224, 224).

    Raises:
        TypeError: No module; another input.
        ValueError: A shape with negative sizes.
            And what the network raises of an input that does not fit.
    """
    copied = meta_copy("network_cost", network)
    layers: list[LayerCost] = []

    def record(name: str, weight: torch.Size, own: int) -> Any:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            given = {**dict(zip(("input", "size"), args, strict=False)), **kwargs}
            maps = given.get("input", next(iter(given.values())))  # a subclass's has any name
            size = given.get("size") if isinstance(module, OctConv2d) else None
            products = _macs(module, weight, maps, size, output)
            layers.append(LayerCost(name, products, own, _elements(maps), _elements(output)))

        return hook

    for name, module in copied.named_modules():
        if isinstance(module, (nn.Linear, *_CONVOLUTIONS)):
            # Asked for here: one that is computed from others may count multiply-adds of its own.
            hook = record(name, module.weight.shape, sum(t.numel() for t in _weights(module)))
            module.register_forward_hook(hook, with_kwargs=True)
    with OnMeta(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        copied(meta_input("network_cost", input, network))
    fused = (module for module in network.modules() if isinstance(module, FusedConv2d))
    parameters = (*network.parameters(), *(t for module in fused for t in _weights(module)))
    return NetworkCost(
        counter.get_total_flops() // 2,
        sum(p.numel() for p in parameters),
        sum(layer.outputs for layer in layers),
        tuple(layers),
    )


class OnMeta(TorchFunctionMode):
    """Tensors with values join those without, where they meet.

    Such as a forward makes, or a module keeps beside its parameters and buffers.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls the function, of tensors on meta if one is, but for indices."""
        given = args, kwargs or {}
        on_meta = {leaf.is_meta for leaf in tree_leaves(given) if isinstance(leaf, Tensor)}
        if len(on_meta) == 2 and func not in (Tensor.__getitem__, Tensor.__setitem__):
            given = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), given)
        return func(*given[0], **given[1])


def meta_copy(operator: str, network: nn.Module) -> nn.Module:
    """A copy for evaluation on the meta device, without copying weights on the way."""
    check_network(operator, network)
    memo = kept_tensors(network)
    for tensor in (*network.parameters(), *network.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(network, memo).eval()


def meta_input(operator: str, input: Input, network: nn.Module) -> Maps:
    """The input on the meta device; of a shape, in the network's dtype."""
    if isinstance(input, (tuple, list, torch.Size)) and all(map(is_int, input)):
        convolutions = (m for m in network.modules() if isinstance(m, _CONVOLUTIONS))
        dtypes = (t.dtype for t in (*(m.weight for m in convolutions), *network.parameters()))
        if any(size < 0 for size in input):  # type: ignore[operator]
            raise ValueError(f"{operator}: no size may be negative, got {tuple(input)}")
        dtype = next((d for d in dtypes if d.is_floating_point), torch.float32)
        return torch.empty(tuple(input), dtype=dtype, device="meta")  # type: ignore[arg-type]
    parts = as_parts(operator, input)  # type: ignore[arg-type]
    for part in parts:
        if part is not None and not isinstance(part, Tensor):
            raise TypeError(
                f"{operator}: the parts of input must be tensors or None, got {type(part).__name__}"
            )
    high, low = (None if part is None else part.to("meta") for part in parts)
    return high if isinstance(input, Tensor) and high is not None else (high, low)


def _weights(layer: Any) -> list[Tensor]:
    """What the layer reads beside its maps."""
    own = (
        (layer.weight, layer.scale, layer.shift)
        if isinstance(layer, FusedConv2d)
        else (layer.weight, layer.bias)
    )
    return [tensor for tensor in own if tensor is not None]


def _macs(module: Any, weight: torch.Size, input: Maps, size: Pair | None, output: Maps) -> int:
    if isinstance(module, OctConv2d):
        stride, groups = module.stride[0], module.groups
    elif isinstance(module, FusedConv2d) and module.octave:
        stride, groups = (2 if module.pools else 1), module.geometry["groups"]
    else:
        met = input if isinstance(module, _TRANSPOSED) else output
        return _elements(met) * math.prod(weight[1:])
    high, low = as_parts("cost", input)
    given = present(high, low)
    height, width = size or (n * (2 if high is None else 1) for n in given.shape[2:])
    return macs(
        module.in_split,
        module.out_split,
        (weight[2], weight[3]),
        (height, width),
        stride=stride,
        groups=groups,
        batch=given.shape[0],
    )


def _elements(value: Any) -> int:
    """Of all tensors, in whatever a layer takes or gives."""
    if value is None:
        return 0
    if isinstance(value, Tensor):
        return value.numel()
    if isinstance(value, Mapping):
        return sum(map(_elements, value.values()))
    if isinstance(value, (tuple, list)):
        return sum(map(_elements, value))
    raise TypeError(f"network_cost: layers must take and give tensors, got {type(value).__name__}")
