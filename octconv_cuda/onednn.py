"""Octave convolutions of oneDNN's, each with its sum and its activation within one primitive.

Sources: the operators ``mkldnn::_convolution_pointwise`` that torch's compiler uses. They are not
public, so that ``can_pack`` asks for them.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .activations import ACTIVATIONS
from .convolutions import as_channels_last, empty_part, pool2x2
from .problem import Pair, Parts

__all__ = ["Packed", "Stamp", "can_pack"]

_MOST_SIZES = 4  # of maps, whose layouts are kept
_pointwise: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
_pointwise_in_place: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise_", None)


def can_pack(weight: Tensor) -> bool:
    """Whether oneDNN computes convolutions with this weight here."""
    onednn = torch.backends.mkldnn
    if weight.device.type != "cpu" or not onednn.is_available():  # type: ignore[no-untyped-call]
        return False
    if _pointwise is None or _pointwise_in_place is None:
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32


class Stamp(NamedTuple):
    """A tensor, and how often it had been written to."""

    tensor: Tensor | None
    version: int


class Packed:
    """A convolution whose weights stand as oneDNN wants them, a block for each of its products.

    Args:
        weight, bias: With all factors folded in.
        in_split, out_split: (high, low) channels.
        activation: As of ``FusedConv2d``.
        pools: Whether it pools both parts first.
        depthwise: Whether the parts do not exchange.
        stride, padding, dilation, groups: As in ``nn.Conv2d``.

    Attributes:
        made_from: The tensors that it stands for, as they were.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        in_split: Pair,
        out_split: Pair,
        activation: str,
        *,
        pools: bool,
        depthwise: bool,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> None:
        self.made_from: tuple[Stamp, ...] = ()
        self._dtype = weight.dtype
        self._pools = pools
        self._activation = activation
        self._geometry = (list(padding), list(stride), list(dilation))
        self._biases = dict(zip("hl", bias.split_with_sizes(out_split), strict=True))
        self._blocks: dict[str, tuple[Tensor, int]] = {}
        self._layouts: dict[tuple[str, torch.Size], Tensor] = {}
        # A low output meets [pool(x_high) ; x_low] in one product, and at stride 2 a high one, too.
        self._joined = groups == 1
        columns = [c // groups for c in in_split]
        for b, rows in zip("hl", weight.split_with_sizes(out_split), strict=True):
            if depthwise:
                self._add(b + b, rows, in_split[b == "l"])
            elif self._joined and (b == "l" or self._pools):
                self._add("h" + b, rows, groups)
            else:
                for a, block in zip("hl", rows.split_with_sizes(columns, 1), strict=True):
                    self._add(a + b, block, groups)

    def takes(self, x: Parts) -> bool:
        """Whether it was made for the operands; what is exported must run elsewhere, too."""
        return (
            type(x[0]) is Tensor  # no subclass, such as fake tensors
            and x[0].dtype == self._dtype
            and x[0].device.type == "cpu"
            and not torch.compiler.is_exporting()
            and not torch._C._are_functorch_transforms_active()
        )

    def __call__(self, x: Parts, residual: Parts) -> Parts:
        """(high, low) of the result, None for an absent part."""
        high, low = map(as_channels_last, x)
        assert high is not None
        blocks, (r_high, r_low) = self._blocks, residual
        if self._joined and self._pools:
            high, low = pool2x2(high, low), None
        elif self._pools:
            high = pool2x2(high)
        ours = False
        if low is not None and "lh" in blocks:
            if self._pools:
                r_high = self._convolve("lh", low, r_high)
            else:
                size = (high.shape[2], high.shape[3])
                r_high = _upsampled(self._convolve("lh", low), size, r_high)
            ours = True
        y_low = None
        if self._joined and "hl" in blocks:
            y_low = self._convolve("hl", pool2x2(high, low), r_low, last=True)
        elif "ll" in blocks or "hl" in blocks:
            y_low = self._separate_low(high, low, r_low)
        return self._convolve("hh", high, r_high, last=True, in_place=ours), y_low

    def _separate_low(self, high: Tensor, low: Tensor | None, residual: Tensor | None) -> Tensor:
        """The low output of a convolution with groups."""
        exchange = "hl" in self._blocks
        if low is not None:
            low = pool2x2(low) if self._pools else low
            residual = self._convolve("ll", low, residual, last=not exchange)
        if exchange:
            residual = self._convolve(
                "hl", pool2x2(high), residual, last=True, in_place=low is not None
            )
        assert residual is not None
        return residual

    def _add(self, name: str, block: Tensor, groups: int) -> None:
        if block.numel():
            self._blocks[name] = (block.contiguous(memory_format=torch.channels_last), groups)

    def _laid_out(self, name: str, x: Tensor) -> Tensor:
        """The block's weight as oneDNN wants it for maps of this size; a few sizes' are kept.

        For another size than it was made for, a layout can be twenty times slower.
        """
        block, groups = self._blocks[name]
        key = (name, x.shape[2:])
        layout = self._layouts.get(key)
        if layout is None:
            layout = torch.ops.mkldnn._reorder_convolution_weight(
                block, *self._geometry, groups, x.shape
            )
            if len(self._layouts) >= _MOST_SIZES * len(self._blocks):  # sizes without end
                self._layouts.clear()
            self._layouts[key] = layout
        return layout

    def _convolve(
        self,
        name: str,
        x: Tensor,
        other: Tensor | None = None,
        *,
        last: bool = False,
        in_place: bool = False,
    ) -> Tensor:
        """Conv(x) + other; the last product of its part takes bias and activation.

        ``in_place``: other is nobody else's, and the result may take its place.
        """
        block, groups = self._blocks[name]
        bias = self._biases[name[1]] if last else None
        if torch.compiler.is_compiling():  # oneDNN's operators cannot be traced
            pad, stride, dilation = self._geometry
            traced = F.conv2d(x, block, bias, stride, pad, dilation, groups)
            traced = traced if other is None else traced + other
            return ACTIVATIONS[self._activation].function(traced) if last else traced
        y: Tensor
        activation = self._activation if last else ""
        rest = (self._laid_out(name, x), bias, *self._geometry, groups)
        if other is None:
            y = _pointwise(x, *rest, *ACTIVATIONS[activation].onednn, "")
            return y
        # Behind a sum oneDNN's operators know ReLU alone, and with groups in float32 alone.
        within = activation == "relu" and (groups == 1 or x.dtype == torch.float32)
        end: tuple[Any, ...] = ("add", None, "relu" if within else None, [], None)
        if in_place:
            y = _pointwise_in_place.binary(other, x, *rest, *end)
        else:
            other = other.contiguous(memory_format=torch.channels_last)
            y = _pointwise.binary(x, other, *rest, *end)
        return y if within else ACTIVATIONS[activation].function(y)


def _upsampled(low: Tensor, size: Pair, residual: Tensor | None) -> Tensor:
    """Up(low), plus the residual if there is one."""
    if residual is None:
        out = empty_part(low, low.shape[1], size)
    else:
        out = residual.clone(memory_format=torch.channels_last)
    torch.ops.octconv_cuda.upsample2x2_(out, low, residual is not None, False)
    return out
