"""What loading a checkpoint will do: every tensor finds its layer before anything is changed."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..maps import OctaveBatchNorm2d
from ..modules import OctConv2d, splits_told
from .fold import fold_bias, fold_weight, path_names
from .names import FORMS, PARTS, Name, locator, parse
from .splits import Splits, norm_shapes, resplit, splits_of, splits_to_take

__all__ = ["Plan", "Report"]

_SYMBOL_EPS = 1e-4
# The tensors of a layer's slots, with the names they had.
_Named = dict[str, tuple[str, Tensor]]


class Report(NamedTuple):
    """What became of a checkpoint's parameters, and where ours come from.

    Attributes:
        matched: Our names with the one of the source that each was copied from.
        folded: Our names with those that were put together for each.
        missing: Ours for which the source has nothing; they keep their values, but in norms whose
            split changed. Also paths that a weight's source does not have, though both their ends
            exist; they become zeros.
        unexpected: The source's that no layer of ours takes.
        notes: What else was changed: splits and biases that layers took over, biases that were
            doubled.
    """

    matched: dict[str, str]
    folded: dict[str, tuple[str, ...]]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Counts, then all that is not simply matched or folded."""
        sources = sum(map(len, self.folded.values()))
        lines = [f"{len(self.matched)} matched, {len(self.folded)} folded from {sources}"]
        for title in ("missing", "unexpected", "notes"):
            lines += [f"{title}: {item}" for item in getattr(self, title)]
        return "\n".join(lines)


class Plan:
    """How to load a state into a network.

    Args:
        network: It stays as it is.
        state: The source's tensors by their names.
        rename: Given a name of the source, the one to go by.
        metadata: The state dict's, where it has some.

    Attributes:
        result: Our tensors by our names.
        changes: What the layers take over before ``result`` fits them.
        report: What became of every name.

    Raises:
        TypeError: A new name that is no string.
        ValueError: Shapes that do not fit; a parameter both whole and in parts.
    """

    def __init__(
        self,
        network: nn.Module,
        state: Mapping[str, Tensor],
        rename: Callable[[str], str] | None,
        metadata: Mapping[str, Any],
    ) -> None:
        self.result: dict[str, Tensor] = {}
        self.changes: list[Callable[[], object]] = []
        self._sources: dict[str, tuple[str, ...]] = {}
        self._notes: list[str] = []
        self._told: dict[str, Splits] = {}
        self._modules = dict(network.named_modules(remove_duplicate=False))
        # What the network will take, once its layers have changed.
        self._shapes = {key: value.shape for key, value in network.state_dict().items()}
        self._absent: list[str] = []
        groups, unexpected = self._grouped(state, rename)
        for (path, leaf), slots in groups.items():
            if not self._take(path, leaf, slots, groups.get((path, "weight"), {})):
                unexpected += [key for key, _ in slots.values()]
        told = self._told_by(metadata)
        for path, splits in splits_to_take(self._modules, self._told, told).items():
            self._resplit(path, splits)
        if any(key.endswith("moving_mean") for key in state):
            self._take_authors_eps(network)
        for ours, tensor in [*self.result.items()]:
            if ours in self._shapes:
                _check(ours, tensor, self._shapes[ours])
            else:
                del self.result[ours]
                unexpected += self._sources.pop(ours)
        self.report = Report(
            {ours: keys[0] for ours, keys in self._sources.items() if len(keys) == 1},
            {ours: keys for ours, keys in self._sources.items() if len(keys) > 1},
            (*(key for key in self._shapes if key not in self.result), *self._absent),
            tuple(unexpected),
            tuple(self._notes),
        )

    def _grouped(
        self, state: Mapping[str, Tensor], rename: Callable[[str], str] | None
    ) -> tuple[dict[tuple[str, str], _Named], list[str]]:
        """By path and leaf of our layer, what the source has for it; and what belongs nowhere."""
        renamed = {key: rename(key) if rename else key for key in state}
        for key, new in renamed.items():
            if not isinstance(new, str):
                raise TypeError(
                    f"checkpoints.load: rename must give strings, got {new!r} for {key}"
                )
        names = {key: parse(new) for key, new in renamed.items()}
        locate = locator(self._modules, names.values())
        groups: dict[tuple[str, str], _Named] = defaultdict(dict)
        unexpected = []
        for key, name in names.items():
            ours = renamed[key]
            if self._shapes.get(ours) == state[key].shape:
                path, _, leaf = ours.rpartition(".")
                name = Name(path, "", leaf)
            else:
                path = locate(name)
            slots = groups[path, name.leaf]
            if path not in self._modules or name.slot in slots:
                unexpected.append(key)
            else:
                slots[name.slot] = (key, state[key])
        return {group: slots for group, slots in groups.items() if slots}, unexpected

    def _told_by(self, metadata: Mapping[str, Any]) -> dict[str, Splits]:
        """The splits of whole weights, also of those that are computed from what was saved."""
        told: dict[str, Splits] = {}
        for path, layer in self._modules.items():
            if not isinstance(layer, OctConv2d):
                continue
            prefix = f"{path}." if path else ""
            for ours, (key, *_) in self._sources.items():
                rest = ours[len(prefix) :]
                if ours.startswith(prefix) and f".{key}".endswith(f".{rest}"):
                    source = key[: -len(rest)].removesuffix(".")
                    if splits := splits_told(metadata.get(source), layer):
                        told[path] = {"in_split": splits[0], "out_split": splits[1]}
        return told

    def _take(self, path: str, leaf: str, slots: _Named, weights: _Named) -> bool:
        """Whether the layer has such a parameter; its tensor then goes to ``result``."""
        layer = self._modules[path]
        tensors = {slot: tensor for slot, (_, tensor) in slots.items()}
        takes_parts = isinstance(layer, (nn.Conv2d, nn.Linear, OctaveBatchNorm2d))
        if takes_parts and not any(slots.keys() <= form for form in FORMS):
            raise ValueError(
                f"checkpoints.load: {path or 'the layer'}: the {leaf} must come whole or in its "
                f"parts, got {' and '.join(key for key, _ in slots.values())}"
            )
        if isinstance(layer, OctaveBatchNorm2d):
            self._take_norm(path, leaf, slots, layer, "weight" if weights else "running_mean")
            return True
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and leaf in ("weight", "bias"):
            shapes = {slot: tensor.shape for slot, (_, tensor) in weights.items()}
            names = path_names(path or "the layer", shapes, layer)
            tensors = {names.get(slot, slot): tensor for slot, tensor in tensors.items()}
            if leaf == "weight":
                tensor = self._weight(path, tensors, layer)
            else:
                tensor = self._bias(
                    path, tensors, {names[slot]: shape for slot, shape in shapes.items()}, layer
                )
        elif isinstance(getattr(layer, leaf, None), Tensor) and tensors.keys() in ({""}, {"high"}):
            (tensor,) = tensors.values()
        else:
            return False
        self._put(_join(path, leaf), tensor, *(key for key, _ in slots.values()))
        return True

    def _put(self, ours: str, tensor: Tensor, *keys: str) -> None:
        """A norm's part may come by its own name and in a whole one."""
        if ours in self.result:
            raise ValueError(
                f"checkpoints.load: {ours} must come once, "
                f"got {' and '.join((*self._sources[ours], *keys))}"
            )
        self.result[ours] = tensor
        self._sources[ours] = keys

    def _weight(
        self, path: str, tensors: dict[str, Tensor], layer: nn.Conv2d | nn.Linear
    ) -> Tensor:
        where = path or "the layer"
        groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        depthwise = isinstance(layer, nn.Conv2d) and 1 < groups == layer.in_channels
        folded = fold_weight(where, tensors, layer.weight.shape, depthwise)
        self._absent += (f"{_join(path, 'weight')}, path {name}" for name in folded.zeros)
        if folded.rows is None or not isinstance(layer, nn.Conv2d):
            return folded.weight
        rows = columns = folded.rows
        if folded.columns is not None:
            columns = (folded.columns[0] * groups, folded.columns[1] * groups)
        if isinstance(layer, OctConv2d):
            self._told[path] = {"in_split": columns, "out_split": rows}
        elif rows[1] or columns[1]:
            raise ValueError(
                f"checkpoints.load: {where} must be an octave layer for (high, low) channels "
                f"{columns} to {rows}, got {type(layer).__name__}"
            )
        return folded.weight

    def _bias(
        self,
        path: str,
        tensors: dict[str, Tensor],
        shapes: dict[str, torch.Size],
        layer: nn.Conv2d | nn.Linear,
    ) -> Tensor:
        where, c_out = path or "the layer", layer.weight.shape[0]
        both_paths = isinstance(layer, OctConv2d) and all(layer.in_split)
        if both_paths and "twice" in shapes and "" in tensors:
            tensors = {"": 2 * tensors[""]}
            self._notes.append(f"{where}: the source adds its bias in both paths, doubled")
        bias = fold_bias(where, tensors)
        if layer.bias is None:
            self._shapes[_join(path, "bias")] = torch.Size((c_out,))
            self._notes.append(f"{where}: has a bias now")

            def change() -> None:
                layer.bias = nn.Parameter(layer.weight.detach().new_zeros(c_out))

            self.changes.append(change)
        return bias

    def _take_norm(
        self, path: str, leaf: str, slots: _Named, layer: OctaveBatchNorm2d, telling: str
    ) -> None:
        """Two parts, of which ``telling`` tells the split, or a norm that is split as the layer."""
        split = layer.split
        if "" in slots:
            key, whole = slots[""]
            if whole.dim():
                _check(_join(path, leaf), whole, torch.Size((sum(split),)))
            tensors = whole.split_with_sizes(split) if whole.dim() else (whole, whole)
            slots = {
                part: (key, tensor)
                for part, tensor, count in zip(PARTS, tensors, split, strict=True)
                if count
            }
        elif leaf == telling:
            high, low = (slots[p][1].numel() if p in slots else 0 for p in PARTS)
            if high + low != sum(split):
                raise ValueError(
                    f"checkpoints.load: {path or 'the layer'}: the parts of {leaf} must have "
                    f"{sum(split)} channels, got {(high, low)}"
                )
            self._told[path] = {"split": (high, low)}
        for part, (key, tensor) in slots.items():
            self._put(_join(path, f"{part}.{leaf}"), tensor, key)

    def _resplit(self, path: str, splits: Splits) -> None:
        layer = self._modules[path]
        new, old = (" to ".join(map(str, s.values())) for s in (splits, splits_of(layer)))
        self._notes.append(f"{path or 'the layer'}: (high, low) channels are {new}, were {old}")
        if isinstance(layer, OctaveBatchNorm2d):
            for key in layer.state_dict():
                del self._shapes[_join(path, key)]
            for key, shape in norm_shapes(layer, splits["split"]).items():
                self._shapes[_join(path, key)] = shape
        self.changes.append(partial(resplit, layer, splits))

    def _take_authors_eps(self, network: nn.Module) -> None:
        """The authors' symbols have another eps than PyTorch's and gluon's norms."""

        def change() -> None:
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eps = _SYMBOL_EPS

        self.changes.append(change)
        self._notes.append(f"all batch norms: eps is {_SYMBOL_EPS}, as in the authors' symbols")


def _check(where: str, tensor: Tensor, shape: torch.Size) -> None:
    if tensor.shape != shape:
        raise ValueError(
            f"checkpoints.load: {where} must be {tuple(shape)}, got {tuple(tensor.shape)}"
        )


def _join(path: str, leaf: str) -> str:
    return f"{path}.{leaf}" if path else leaf
