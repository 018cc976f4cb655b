"""Receptive fields, exact for every pixel: each map carries which input pixels it has seen.

The network runs on the meta device under a dispatch mode that keeps, for each row and each column
of each map, the first and the last row and column of the input that it depends on. Positions
outside the image count for nothing.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .. import reference
from ..fused import FusedConv2d
from ..maps import Maps, as_parts
from ..problem import Pair
from .network import Input, OnMeta, meta_copy, meta_input

__all__ = ["receptive_field"]

# (2, L): for each of L positions along an axis the first and the last one seen in the input.
Span = Tensor
Field = tuple[Span, Span]
# With rules of their own, or seeing what all their arguments have seen, pixel by pixel or at large.
_KNOWN = {
    "convolution", "conv2d", "avg_pool2d", "max_pool2d", "max_pool2d_with_indices",
    "upsample_nearest2d", "slice", "cat", "clone", "_to_copy", "detach", "alias", "empty_like",
    "view", "_unsafe_view", "reshape", "unsqueeze", "expand", "split_with_sizes", "mean", "sum",
    "native_batch_norm", "_native_batch_norm_legit_no_training", "batch_norm", "hardtanh_",
    "_adaptive_avg_pool2d", "linear", "addmm", "mm", "t", "hardswish", "hardswish_",
    "mish_", "_prelu_kernel", "native_group_norm",
}  # fmt: skip
_FIRST_SIZE, _LAST_SIZE = 128, 8192


def receptive_field(network: nn.Module, input: Input | None = None) -> dict[str, Pair]:
    """(height, width) that the outputs of each convolution depend on, in pixels of the input.

    Each is the largest over the output's pixels; of a pair, over those of both its parts. For a
    layer that takes a pair they are pixels of the high grid.

    Args:
        network: Any module of convolutions, pooling and pixel-wise operations.
        input: What it takes: a map, or the shape of a tensor. Fields end at its borders. None: RGB
            images, large enough not to limit the field of any convolution; where one sees all of
            every image (squeeze-and-excitation) the field is that of the largest, 8192.

    Returns:
        By the names of the convolutions, in the order of their calls.

    Raises:
        TypeError, ValueError: No module; an input that is neither a map nor a shape; parts that are
            not (N, C, H, W).
        NotImplementedError: An operation that changes sizes in a way that is not known here.
    """
    copied = meta_copy("receptive_field", network)
    if input is not None:
        return _fields(copied, input)
    size = _FIRST_SIZE
    fields = _fields(copied, (1, 3, size, size))
    while size < _LAST_SIZE:
        size *= 2
        smaller, fields = fields, _fields(copied, (1, 3, size, size))
        if fields == smaller:
            break
    return fields


def _fields(network: nn.Module, input: Input) -> dict[str, Pair]:
    seen: dict[str, Pair] = {}
    tracker = _Tracker()

    def record(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            parts = [p for p in as_parts("receptive_field", output) if p is not None]
            extents = [[int((s[1] - s[0]).max()) + 1 for s in tracker.field(p)] for p in parts]
            height, width = (max(axis) for axis in zip(*extents, strict=True))
            seen[name] = (height, width)

        return hook

    handles = [
        module.register_forward_hook(record(name))
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, FusedConv2d))
    ]
    maps = meta_input("receptive_field", input, network)
    tracker.start(maps)
    with OnMeta(), torch.no_grad(), tracker:
        network(maps)
    for handle in handles:
        handle.remove()
    return seen


class _Tracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the field of each tensor; every tensor stays alive, so that its id stays its own."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._fields: dict[int, tuple[Tensor, Field]] = {}

    def start(self, maps: Maps) -> None:
        """Each high pixel has seen itself, each low one its window."""
        high, low = as_parts("receptive_field", maps)
        for part in (high, low):
            if part is not None and part.dim() != 4:
                raise ValueError(
                    f"receptive_field: input must be (N, C, H, W), got {tuple(part.shape)}"
                )
        if high is not None:
            self._keep(high, _grid(high.shape[2:]))
        if low is not None:
            size = [2 * n for n in low.shape[2:]] if high is None else high.shape[2:]
            self._keep(low, _windows(_grid(size), low.shape[2:], (2, 2), (2, 2)))

    def field(self, tensor: Tensor) -> Field:
        """Rows and columns of what a map has seen."""
        return self._fields[id(tensor)][1]

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if function.namespace == "octconv_cuda":
            self._octave(name, args, result)
        elif any(map(self._has, tree_leaves(args))):
            for tensor in tree_leaves(result):
                if isinstance(tensor, Tensor):
                    known = torch.Tag.pointwise in function.tags or name in _KNOWN
                    # How a mean over all pixels ends, where maps are channels_last.
                    known |= name == "as_strided_" and tensor.shape[2:] == (1, 1)
                    if not known:
                        raise NotImplementedError(f"receptive_field: {name} is not known")
                    self._keep(tensor, self._rule(name, args, tensor))
        return result

    def _has(self, value: object) -> bool:
        return id(value) in self._fields

    def _keep(self, tensor: Tensor, field: Field) -> None:
        self._fields[id(tensor)] = (tensor, field)

    def _rule(self, name: str, args: Any, result: Tensor) -> Field:
        """The field of the result of an operation of PyTorch's."""
        size = result.shape[2:] if result.dim() == 4 else torch.Size((1, 1))
        if name in ("convolution", "conv2d"):
            if name == "convolution" and args[6]:
                raise NotImplementedError("receptive_field: transposed convolutions are not known")
            defaults = ((1, 1), (0, 0), (1, 1))
            geometry = map(_pair, (*args[3:6], *defaults[len(args[3:6]) :]))
            return _windows(self.field(args[0]), size, args[1].shape[2:], *geometry)
        if name in ("avg_pool2d", "max_pool2d", "max_pool2d_with_indices"):
            return self._pool(args, size, dilated=name != "avg_pool2d")
        if name == "upsample_nearest2d":
            field = self.field(args[0])
            rows, columns = (
                span[:, torch.arange(n, device="cpu") * span.shape[1] // n]
                for n, span in zip(size, field, strict=True)
            )
            return rows, columns
        if name == "slice" and len(args) > 1 and args[1] in (2, 3):
            spans = list(self.field(args[0]))
            spans[args[1] - 2] = spans[args[1] - 2][:, slice(*args[2:])]
            return spans[0], spans[1]
        rows, columns = map(
            _union, zip(*(self.field(t) for t in tree_leaves(args) if self._has(t)), strict=True)
        )
        of_image = name == "native_group_norm"
        of_image |= name in ("native_batch_norm", "batch_norm") and args[5]
        if size == (1, 1) or of_image:  # statistics of all pixels
            rows, columns = (
                _hull(span).expand(2, n) for span, n in zip((rows, columns), size, strict=True)
            )
        if (rows.shape[1], columns.shape[1]) != size:
            raise NotImplementedError(f"receptive_field: how {name} changes sizes is not known")
        return rows, columns

    def _pool(self, args: Any, size: Sequence[int], *, dilated: bool) -> Field:
        kernel = _pair(args[1])
        stride = _pair(args[2]) if len(args) > 2 and args[2] else kernel
        padding = _pair(args[3]) if len(args) > 3 else (0, 0)
        dilation = _pair(args[4]) if dilated and len(args) > 4 else (1, 1)
        return _windows(self.field(args[0]), size, kernel, stride, padding, dilation)

    def _octave(self, name: str, args: Any, result: Any) -> None:
        """The library's operators see what their formulas see."""
        if name == "pool2x2":
            self._pool2x2(args, result)
            return
        if name not in ("forward", "inference"):
            raise NotImplementedError(f"receptive_field: {name} is not known")
        high_out, size, stride = args[4:7] if name == "forward" else args[9:12]
        with self:
            x_high, x_low, weight, bias = args[:4]
            y = reference.oct_conv2d(
                x_high, x_low, weight, bias, high_out, stride=stride, size=size
            )
            residuals = args[6:8] if name == "inference" else (None, None)
            parts = [
                part if part is None or residual is None else part + residual
                for part, residual in zip(y, residuals, strict=True)
            ]
        for tensor, part in zip(result, parts, strict=True):
            if part is not None:
                self._keep(tensor, self.field(part))

    def _pool2x2(self, args: Any, result: Tensor) -> None:
        with self:
            pooled = reference.pool(args[0])
        field = self.field(pooled)
        if args[1] is not None:
            rows, columns = map(_union, zip(field, self.field(args[1]), strict=True))
            field = rows, columns
        self._keep(result, field)


def _grid(size: Sequence[int]) -> Field:
    """Each position has seen itself."""
    rows, columns = (torch.arange(n, device="cpu").expand(2, n) for n in size)
    return rows, columns


def _windows(
    field: Field,
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
) -> Field:
    """What the windows of a convolution or a pool see; ``size`` is how many there are."""
    spans = []
    for span, n, k, s, p, d in zip(field, size, kernel, stride, padding, dilation, strict=True):
        index = torch.arange(n, device="cpu")[:, None] * s - p + torch.arange(k, device="cpu") * d
        inside = (index >= 0) & (index < span.shape[1])
        first, last = span[:, index.clamp(0, span.shape[1] - 1)]
        spans.append(
            torch.stack(
                [
                    first.masked_fill(~inside, _LAST_SIZE).amin(1),
                    last.masked_fill(~inside, -1).amax(1),
                ]
            )
        )
    return spans[0], spans[1]


def _union(spans: Sequence[Span]) -> Span:
    """What any of them has seen; spans of one position broadcast."""
    first, last = spans[0]
    for span in spans[1:]:
        first, last = torch.minimum(first, span[0]), torch.maximum(last, span[1])
    return torch.stack([first, last])


def _hull(span: Span) -> Span:
    """What all positions together have seen."""
    return torch.stack([span[0].amin(), span[1].amax()])[:, None]


def _pair(value: Sequence[int]) -> Sequence[int]:
    """Of an argument that may stand for both axes."""
    return value if len(value) == 2 else (value[0], value[0])
