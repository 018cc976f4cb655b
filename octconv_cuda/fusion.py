"""Networks for inference: batch norm, residual sums and activations go into the convolutions."""

import copy

from torch import nn

from .fused import FusedConv2d
from .maps import OctaveBatchNorm2d, PerPart
from .modules import OctConv2d

__all__ = [
    "activation_name",
    "fuse",
    "fuse_children",
    "fuse_convolution",
    "fuse_sequence",
]

_ACTIVATIONS = {nn.ReLU: "relu", nn.SiLU: "silu", nn.ReLU6: "relu6", nn.Identity: ""}


def fuse(network: nn.Module) -> nn.Module:
    """A copy of a network for inference that computes the same in fewer passes over memory.

    Fused are convolution, batch norm and activation in a row in an ``nn.Sequential``, and modules
    with a method ``fused()``, which gives what stands in their place: those of
    ``octconv_cuda.models``. All else stays as it is, subclasses of those layers too, and what has
    forward hooks. Fuse a network where it will run.

    Args:
        network: In evaluation mode; it is not changed.

    Raises:
        ValueError: A network in training mode, whose norms are no constants.
    """
    if any(module.training for module in network.modules()):
        raise ValueError("fuse: the network must be in evaluation mode: call network.eval() first")
    return _fused(copy.deepcopy(network).requires_grad_(False))


def fuse_convolution(conv: nn.Module, norm: nn.Module | None, activation: str = "") -> nn.Module:
    """A convolution of the networks, with all that follows it; of parts, part by part."""
    if isinstance(conv, nn.Conv2d):
        return FusedConv2d(conv, norm, activation)
    if isinstance(conv, PerPart) and isinstance(norm, PerPart):
        parts = []
        for part, part_norm in ((conv.high, norm.high), (conv.low, norm.low)):
            assert isinstance(part, nn.Sequential)
            *before, last = part
            assert isinstance(last, nn.Conv2d)
            parts.append(nn.Sequential(*before, FusedConv2d(last, part_norm, activation)))
        return PerPart(*parts)
    raise TypeError(f"fuse: conv must be a convolution, got {type(conv).__name__}")


def fusable(module: nn.Module) -> bool:
    """Whether ``FusedConv2d`` takes it: a convolution that pads with zeros, alike on both sides."""
    return (
        type(module) in (nn.Conv2d, OctConv2d)
        and isinstance(module, nn.Conv2d)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and not _has_hooks(module)
    )


def _is_norm(module: nn.Module) -> bool:
    """Whether it is a batch norm that is a constant factor and sum for each channel."""
    if type(module) is OctaveBatchNorm2d:
        parts = (module.high, module.low)
        present = [part for part in parts if type(part) is not nn.Identity]
        return not _has_hooks(module) and all(
            part is not None and _is_norm(part) for part in present
        )
    return (
        type(module) is nn.BatchNorm2d
        and module.running_mean is not None
        and not _has_hooks(module)
    )


def _has_hooks(module: nn.Module) -> bool:
    """Whether it has forward hooks, which see or change what fusion does away with."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def activation_name(module: nn.Module) -> str | None:
    """The name of an activation, of one for each part too; None for any other module."""
    if type(module) is PerPart and module.low is None and not _has_hooks(module):
        module = module.high
    return None if _has_hooks(module) else _ACTIVATIONS.get(type(module))


def fuse_children(module: nn.Module) -> None:
    """Fuses what stands in a module, in place."""
    for name, child in module.named_children():
        setattr(module, name, _fused(child))


def _fused(module: nn.Module) -> nn.Module:
    if _fuses_itself(module):
        result: nn.Module = module.fused()  # type: ignore[operator]
        return result
    if type(module) is nn.Sequential and not _has_hooks(module):
        return fuse_sequence(module)
    fuse_children(module)
    return module


def _fuses_itself(module: nn.Module) -> bool:
    """Whether it has ``fused()``, made for its ``forward``, and no hooks that would be lost."""
    classes = type(module).__mro__
    defines = {
        name: next((c for c in classes if name in vars(c)), None) for name in ("fused", "forward")
    }
    made, runs = defines["fused"], defines["forward"]
    return (
        made is not None
        and runs is not None
        and issubclass(made, runs)
        and not any(map(_has_hooks, module.modules()))
    )


def fuse_sequence(sequence: nn.Sequential | None) -> nn.Sequential:
    """Convolutions with the norm and the activation behind them as one; None gives none."""
    result, rest = nn.Sequential(), list(sequence or ())
    while rest:
        first = rest.pop(0)
        if not fusable(first):
            result.append(_fused(first))
            continue
        norm = rest.pop(0) if rest and _is_norm(rest[0]) else None
        name = activation_name(rest[0]) if rest else None
        if name is not None:
            rest.pop(0)
        result.append(fuse_convolution(first, norm, name or ""))
    return result
