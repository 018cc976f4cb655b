"""The (high, low) channels that layers take over from a checkpoint."""

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..maps import OctaveBatchNorm2d, OctaveSplit
from ..models.blocks import SqueezeExcitation
from ..modules import OctConv2d
from ..problem import Pair, check_channels
from .names import PARTS

__all__ = ["Splits", "norm_shapes", "resplit", "splits_of", "splits_to_take"]

# By the names of a layer's attributes.
Splits = dict[str, Pair]
_ATTRIBUTES: tuple[tuple[type[nn.Module], tuple[str, ...]], ...] = (
    (OctConv2d, ("in_split", "out_split")),
    (OctaveBatchNorm2d, ("split",)),
    (SqueezeExcitation, ("split",)),
    (OctaveSplit, ("channels",)),
)


def splits_of(layer: nn.Module) -> Splits:
    """The splits of a layer; none of one that knows no parts."""
    return {
        name: getattr(layer, name)
        for kind, names in _ATTRIBUTES
        if isinstance(layer, kind)
        for name in names
    }


def splits_to_take(
    modules: Mapping[str, nn.Module],
    told: Mapping[str, Splits],
    told_of_whole: Mapping[str, Splits],
) -> dict[str, Splits]:
    """What the layers' splits must become, of those that change.

    A whole weight alone tells no split. Such a layer goes with those that had its split, of which
    the norms tell theirs.

    Args:
        modules: All of the network by their paths.
        told: By the path, what the shapes of the source say.
        told_of_whole: What its metadata say of whole weights.

    Raises:
        ValueError: Layers that had one split part ways, and one that is not told is among them.
    """
    ours = {path: splits for path, layer in modules.items() if (splits := splits_of(layer))}
    # Where a source has blocks, its whole weights are those of plain convolutions.
    has_blocks = any(isinstance(modules[path], OctConv2d) for path in told)
    told = {**told_of_whole, **told}
    if all(splits == ours[path] for path, splits in told.items()):
        return {}
    became: dict[Pair, set[Pair]] = defaultdict(set)
    for path, splits in ours.items():
        if path in told or isinstance(modules[path], OctaveBatchNorm2d):
            for name, split in splits.items():
                became[split].add(told.get(path, splits)[name])

    def follow(path: str, split: Pair) -> Pair:
        others = became[split]
        if all(split) and len(others) == 1:
            return next(iter(others))
        if has_blocks or (not all(split) and others <= {split}):
            return split
        raise ValueError(
            f"checkpoints.load: {path or 'the layer'}: the source must tell by its norms what the "
            f"(high, low) channels {split} are in it, got {sorted(others) or 'none'}; make the "
            "network with the splits of the source"
        )

    result = {}
    for path, splits in ours.items():
        new = told.get(path) or {name: follow(path, split) for name, split in splits.items()}
        if new != splits:
            result[path] = new
            layer = modules[path]
            if isinstance(layer, OctConv2d):
                where = f"checkpoints.load: {path or 'the layer'}"
                check_channels(where, new["in_split"], new["out_split"], layer.groups)
    return result


def norm_shapes(norm: OctaveBatchNorm2d, split: Pair) -> dict[str, torch.Size]:
    """Those of the state of a norm with another split."""
    return {
        f"{name}.{key}": torch.Size((channels,)) if value.dim() else value.shape
        for name, channels in zip(PARTS, split, strict=True)
        if channels
        for key, value in _present(norm).state_dict().items()
    }


def resplit(layer: nn.Module, splits: Splits) -> None:
    """Gives a layer other splits; a norm starts anew with them.

    Of a norm modules and parameters stay the same objects, as far as they go: optimizers hold them
    still, though what they know of them is of the old shapes, and what is frozen stays frozen.
    """
    for name, split in splits.items():
        setattr(layer, name, split)
    if isinstance(layer, OctaveBatchNorm2d):
        present = _present(layer)
        for name, channels in zip(PARTS, layer.split, strict=True):
            part = getattr(layer, name)
            if not channels:
                part = nn.Identity().train(layer.training)
            elif isinstance(part, nn.Identity):
                part = copy.deepcopy(present)
            setattr(layer, name, part)
            if channels:
                _resize(part, channels)


def _present(norm: OctaveBatchNorm2d) -> Any:
    """The high part, or the low one where there is no other."""
    return norm.low if isinstance(norm.high, nn.Identity) else norm.high


def _resize(part: Any, channels: int) -> None:
    part.num_features = channels
    for tensor in (*part.parameters(), *part.buffers()):
        if tensor.dim():  # all but the count of batches
            tensor.data, tensor.grad = tensor.new_empty(channels), None
    part.reset_parameters()
