"""Networks for inference: batch norm, residual sums and activations go into the convolutions."""

import copy
import inspect
from collections import OrderedDict

from torch import nn

from .activations import ACTIVATIONS
from .copying import kept_tensors
from .folding import is_altered, refusal
from .fused import FusedConv2d
from .maps import OctaveBatchNorm2d, PerPart
from .problem import check_network

__all__ = ["fuse", "fuse_convolution", "fuse_convolutions"]

_NAMES = {activation.module: name for name, activation in ACTIVATIONS.items()}


def fuse(network: nn.Module) -> nn.Module:
    """A copy of a network for inference that computes the same in fewer passes over memory.

    Fused are convolution, batch norm and activation in a row in an ``nn.Sequential``, where
    ``nn.Identity`` then keeps the places of what the convolution took in: for who runs the layers
    one by one, results move to other places. So are modules whose own
    class, no base of it, has a method ``fused()``, as those of ``octconv_cuda.models``: it gives
    what stands in the module's place, or the module itself where its parts are not those that it
    was made for; what is within is fused in turn. All else stays as it is, subclasses of those
    layers too, and what has forward hooks. Fuse a network where it will run, with the weights that
    it is to have: ``FusedConv2d`` says which changes it cannot see. On the CPU weights are kept
    laid out for up to four sizes of maps, and ReLU and ReLU6 can make 0 of NaN, as oneDNN's do.

    Args:
        network: In evaluation mode; it is not changed.

    Raises:
        ValueError: A network in training mode, whose norms are no constants.
        TypeError: No module; a method ``fused()`` that gives none.
    """
    check_network("fuse", network)
    for name, module in network.named_modules():
        if module.training:
            raise ValueError(
                "fuse: the network must be in evaluation mode, got one in training mode"
                + f" at {name!r}" * bool(name)
                + ": call network.eval() first"
            )
    copied = copy.deepcopy(network, kept_tensors(network))
    return _fused(copied.requires_grad_(False), {}).eval()


def fuse_convolution(
    conv: nn.Module, norm: nn.Module | None = None, activation: nn.Module | None = None
) -> nn.Module | None:
    """A convolution with what follows it as one; None where that would be another function.

    Args:
        conv: Also a sequence that ends in a convolution, and such ones for each part.
        norm: The batch norm behind it.
        activation: The activation behind that.
    """
    if type(conv) is nn.Sequential and conv and not is_altered(conv):
        layers = OrderedDict(conv._modules)
        key, last = layers.popitem()
        assert last is not None
        fused = fuse_convolution(last, norm, activation)
        return fused and nn.Sequential(OrderedDict([*layers.items(), (key, fused)]))
    if type(conv) is PerPart and type(norm) is OctaveBatchNorm2d:
        if conv.low is None or norm.low is None or is_altered(conv) or is_altered(norm):
            return None
        high = fuse_convolution(conv.high, norm.high, activation)
        low = fuse_convolution(conv.low, norm.low, activation)
        return None if high is None or low is None else PerPart(high, low)
    name = _activation_name(activation)
    if name is None or not isinstance(conv, nn.Conv2d) or refusal(conv, norm, name) is not None:
        return None
    return FusedConv2d(conv, norm, name)


def fuse_convolutions(
    *layers: tuple[nn.Module, nn.Module | None, nn.Module | None],
) -> list[nn.Module]:
    """Each of (convolution, norm, activation) as one, the last of which can take a residual.

    Empty unless all of them can be fused: a block is fused as a whole, or not.
    """
    fused = [part for layer in layers if (part := fuse_convolution(*layer)) is not None]
    return fused if len(fused) == len(layers) and isinstance(fused[-1], FusedConv2d) else []


def _activation_name(module: nn.Module | None) -> str | None:
    """The name of an activation, of one for each part too; None for any other module."""
    if module is None:
        return ""
    if type(module) is PerPart and module.low is None and not is_altered(module):
        module = module.high
    return None if is_altered(module) else _NAMES.get(type(module))


def _fused(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """What takes a module's place, the same wherever it stands."""
    if module in done:
        return done[module]
    result = module
    if _fuses_itself(module):
        result = module.fused()  # type: ignore[operator]
        if not isinstance(result, nn.Module):
            raise TypeError(
                f"fuse: {type(module).__name__}.fused() must give a module, got {result!r}"
            )
    done[module] = done[result] = result
    if type(result) is nn.Sequential and "forward" not in vars(result):
        _fuse_sequence(result)
    for name, child in result._modules.items():
        if child is not None:
            result._modules[name] = _fused(child, done)
    return result


def _fuses_itself(module: nn.Module) -> bool:
    """Whether it has ``fused()``, made for all of its class, and nothing within would be lost."""
    method = vars(type(module)).get("fused")
    if not callable(method) or any(map(is_altered, module.modules())):
        return False
    try:
        inspect.signature(method).bind(module)
    except (TypeError, ValueError):  # another method of that name, or none of Python's
        return False
    return True


def _fuse_sequence(sequence: nn.Sequential) -> None:
    """Fuses in place; each layer keeps its name and its index."""
    layers = list(sequence)
    for i, conv in enumerate(layers):
        first, second = [*layers[i + 1 : i + 3], None, None][:2]
        for norm, activation in ((first, second), (first, None), (None, first), (None, None)):
            fused = fuse_convolution(conv, norm, activation)
            if fused is not None:
                taken = sum(layer is not None for layer in (norm, activation))
                sequence[i] = fused
                for j in range(i + 1, i + 1 + taken):
                    sequence[j] = nn.Identity()
                break
