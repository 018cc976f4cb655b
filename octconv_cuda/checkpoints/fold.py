"""Four weights to one, four biases to one, two norms to a pair: what a layer takes of a source."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..problem import Pair
from .names import PARTS

__all__ = ["Folded", "fold_bias", "fold_weight", "path_names"]

Slots = Mapping[str, Tensor]


class Folded(NamedTuple):
    """A weight with rows and columns [high | low], and what its blocks tell.

    Attributes:
        weight: (C_out, C_in / groups, ...).
        rows, columns: (high, low) of the weight; None where one whole tensor tells nothing.
        zeros: The paths that the source does not have, though both its ends exist.
    """

    weight: Tensor
    rows: Pair | None = None
    columns: Pair | None = None
    zeros: tuple[str, ...] = ()


def path_names(
    where: str, shapes: Mapping[str, torch.Size], layer: nn.Conv2d | nn.Linear
) -> dict[str, str]:
    """For each slot of a weight its path: that of "convh" and "convl" is told by the shapes.

    Raises:
        ValueError: The shapes are neither a first layer's nor a last one's.
    """
    if not {"convh", "convl"} & shapes.keys():
        return {slot: slot for slot in shapes}
    high, low = (tuple(shapes.get(slot, ())) for slot in ("convh", "convl"))
    c_out, c_in = layer.weight.shape[0], layer.weight.shape[1] * getattr(layer, "groups", 1)
    if len(high) == len(low) == 4:
        if high[1] == low[1] == c_in and high[0] + low[0] == c_out:
            return {"convh": "hh", "convl": "hl"}
        if high[0] == low[0] == c_out and high[1] + low[1] == c_in:
            return {"convh": "hh", "convl": "lh"}
    raise ValueError(
        f"checkpoints.load: {where}: convh {high} and convl {low} are neither first "
        f"nor last layer of {c_in} to {c_out} channels"
    )


def fold_weight(where: str, slots: Slots, expected: torch.Size, depthwise: bool) -> Folded:
    """The one weight of a layer.

    Args:
        where: The layer's name, for texts.
        slots: Its weight or weights.
        expected: The shape of our layer's weight.
        depthwise: Whether the paths between the parts do not exist.

    Raises:
        ValueError: Blocks that do not fit together, or into ``expected``.
    """
    whole = slots.get("", slots.get("twice"))
    if whole is not None:
        return Folded(_shaped(where, whole, expected))
    if "high" in slots or "low" in slots:
        parts = [slots[part] for part in ("high", "low") if part in slots]
        return Folded(_shaped(where, torch.cat(parts), expected))
    for path, block in slots.items():
        if block.dim() != len(expected):
            raise ValueError(
                f"checkpoints.load: {where}: the path {path} must have {len(expected)} dimensions, "
                f"got {tuple(block.shape)}"
            )
    rows, columns = (dict.fromkeys("hl", 0) for _ in range(2))
    for path, block in slots.items():
        rows[path[1]] = max(rows[path[1]], block.shape[0])
        columns[path[0]] = max(columns[path[0]], block.shape[1])
    if depthwise:
        weight = torch.cat([slots[path] for path in ("hh", "ll") if path in slots])
        return Folded(_shaped(where, weight, expected), (rows["h"], rows["l"]))
    columns["l"] = columns["l"] or expected[1] - columns["h"]
    columns["h"] = columns["h"] or expected[1] - columns["l"]
    first, *others = slots.values()
    weight = torch.zeros(
        (rows["h"] + rows["l"], columns["h"] + columns["l"], *expected[2:]),
        dtype=functools.reduce(_common_dtype, (t.dtype for t in others), first.dtype),
        device=first.device,
    )
    for path, block in slots.items():
        from_row = 0 if path[1] == "h" else rows["h"]
        from_column = 0 if path[0] == "h" else columns["h"]
        view = weight[from_row:, from_column:][: rows[path[1]], : columns[path[0]]]
        if view.shape != block.shape and block.numel():
            raise ValueError(
                f"checkpoints.load: {where}: the path {path} must be {tuple(view.shape)} beside "
                f"the others, got {tuple(block.shape)}"
            )
        if block.numel():
            view.copy_(block)
    zeros = tuple(
        a + b for a in "hl" for b in "hl" if a + b not in slots and columns[a] and rows[b]
    )
    return Folded(
        _shaped(where, weight, expected),
        (rows["h"], rows["l"]),
        (columns["h"], columns["l"]),
        zeros,
    )


def fold_bias(where: str, slots: Slots) -> Tensor:
    """The one bias of a layer: those of the paths to one part add up.

    Raises:
        ValueError: Biases of one part that have different lengths.
    """
    if "" in slots:
        return slots[""].flatten()
    parts = [slots[part] for part in ("high", "low") if part in slots]
    for part in "hl":
        biases = [b for path, b in slots.items() if path.endswith(part) and path not in PARTS]
        biases = [bias for bias in biases if bias.numel()]
        if any(bias.dim() != 1 or bias.shape != biases[0].shape for bias in biases):
            raise ValueError(
                f"checkpoints.load: {where}: the biases of one part must be (C,), alike, "
                f"got {[tuple(bias.shape) for bias in biases]}"
            )
        if biases:
            parts.append(torch.stack(biases).sum(0))
    return torch.cat(parts) if parts else next(iter(slots.values())).flatten()


def _common_dtype(one: torch.dtype, other: torch.dtype) -> torch.dtype:
    """That holds both; PyTorch promotes no float8, which float32 stands for."""
    if one == other:
        return one
    is_float8 = [dtype.is_floating_point and dtype.itemsize == 1 for dtype in (one, other)]
    return torch.promote_types(
        torch.float32 if is_float8[0] else one, torch.float32 if is_float8[1] else other
    )


def _shaped(where: str, weight: Tensor, expected: torch.Size) -> Tensor:
    """A fully connected layer may come as a convolution of all it sees, another layer as it is."""
    flattens = len(expected) == 2 and weight.shape[:1] == expected[:1]
    if weight.shape != expected and not (flattens and weight.numel() == expected.numel()):
        raise ValueError(
            f"checkpoints.load: {where}: the weight must be {tuple(expected)}, "
            f"got {tuple(weight.shape)}"
        )
    return weight.reshape(expected)
