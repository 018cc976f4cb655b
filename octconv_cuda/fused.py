"""A convolution for inference, which takes in the batch norm, the sum and the activation behind it.

On CUDA they go into the epilogue of the operator ``octconv_cuda::inference``, and where there is no
exchange of parts into cuDNN's convolution. On a CPU, where torch offers it, each convolution is
oneDNN's with the sum and the activation within, its weights folded and laid out in advance.
Elsewhere PyTorch's operators compute the same.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .activations import ACTIVATIONS
from .call import allow_tf32, autocast, insist
from .convolutions import pool_concat
from .cudnn import convolution
from .errors import run_native
from .folding import geometry_of, refusal, scale_and_shift, scaled, splits
from .functional import oct_conv2d
from .maps import Maps, OctaveMaps, as_parts, check_split
from .modules import OctConv2d
from .onednn import Packed, Stamp, can_pack
from .problem import (
    KERNEL_FAMILIES,
    Geometry,
    Pair,
    Parts,
    check_maps,
    check_same,
    is_depthwise,
    low_size,
    present,
)

__all__ = ["FusedConv2d"]


class FusedConv2d(nn.Module):
    """activation(norm(convolution) + residual), without gradients.

    It computes with the tensors that it has, but for what PyTorch does not tell on the CPU: writes
    through ``.data`` or NumPy, by collectives or other processes, or to inference tensors, and any
    after ``torch.compile``. ``load_state_dict(state_dict())`` sees to it that they count.

    Args:
        conv: ``nn.Conv2d`` or ``OctConv2d`` that pads with zeros. A family that it names must serve
            the calls of what it becomes, too.
        norm: ``nn.BatchNorm2d``, ``nn.SyncBatchNorm`` or ``OctaveBatchNorm2d`` behind it, of which
            the statistics count; ``nn.Identity``, also for one of the parts, or None: no norm.
        activation: "", "relu", "silu" or "relu6".

    Raises:
        TypeError, ValueError: Other layers, subclasses and such with forward hooks among them,
            channels that do not fit, a norm without running statistics, another activation.
    """

    weight: Tensor
    scale: Tensor | None
    shift: Tensor

    def __init__(
        self, conv: nn.Conv2d, norm: nn.Module | None = None, activation: str = ""
    ) -> None:
        super().__init__()
        error = refusal(conv, norm, activation)
        if error is not None:
            raise error
        self.activation = activation
        self.in_split, self.out_split = splits(conv)
        # At stride 2 an octave convolution pools, and convolves at stride 1.
        self.octave = isinstance(conv, OctConv2d)
        self.family = conv.family if isinstance(conv, OctConv2d) else None
        self.geometry = geometry_of(conv)
        self.pools = self.octave and self.geometry["stride"] == (2, 2)
        self.uncovered = ""  # why the operators do not cover it, if they do not
        if self.octave:
            geometry = Geometry.of("FusedConv2d", tuple(conv.weight.shape[2:]), **self.geometry)
            self.uncovered = geometry.uncovered(self.in_split, self.out_split)
        if self.pools:
            self.geometry["stride"] = (1, 1)
        weight = conv.weight.detach()
        scale, shift = scale_and_shift(conv, norm)
        # Elsewhere no epilogue scales: once here, not at each call.
        one = weight.dtype != torch.float64 and self._in_one_launch()
        self.register_buffer("weight", weight.clone() if one else scaled(weight, scale))
        self.register_buffer("scale", scale.float() if one else None)
        self.register_buffer("shift", shift.float() if one else shift.to(weight.dtype))
        self.packed: Packed | None = None
        self._pack()
        self.eval()

    def forward(self, input: Maps, residual: Maps | None = None) -> Tensor | OctaveMaps:
        """The layer's output; ``residual`` is a map like it.

        Raises:
            ValueError, TypeError, RuntimeError: See ``oct_conv2d``, also for the family that the
                layer named; ValueError and TypeError also for a residual of another shape, dtype or
                device.
        """
        if self.family in KERNEL_FAMILIES:
            insist("FusedConv2d", self.family, self.weight.device, self.uncovered)
        added = (None, None) if residual is None else as_parts("FusedConv2d", residual, "residual")
        tensors = (*as_parts("FusedConv2d", input), *added, self.weight)
        *parts, weight = autocast(self.weight.device.type, *tensors)
        check_split("FusedConv2d", (parts[0], parts[1]), self.in_split)
        size = check_maps("FusedConv2d", *parts[:2], names=("the high part", "the low part"))
        check_same("FusedConv2d", "the input", present(*parts[:2]), "the weight", weight)
        if any(part is not None for part in added):
            self._check_residual(parts[:2], size, parts[2:])
        parts = [None if part is None else part.detach() for part in parts]
        x, r = (parts[0], parts[1]), (parts[2], parts[3])
        packed = self._packed_for(x)
        if packed is not None:
            high, low = packed(x, r)
        elif (scale := self.scale) is not None:
            high, low = self._operator(x, size, r, weight, scale)
        else:
            high, low = self._composition(x, r, weight)
        return high if low is None and high is not None else OctaveMaps(high, low)

    def _check_residual(self, x: Parts, size: Pair, r: Parts) -> None:
        """Libraries below would read one that is smaller than the output, or repeat it."""
        given = present(*x)
        axes = (self.geometry[name] for name in ("stride", "padding", "dilation"))
        grid = low_size(size) if self.pools else size
        extents = zip(grid, self.weight.shape[2:], *axes, strict=True)
        height, width = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in extents)
        sizes = ((height, width), low_size((height, width)))
        for side, part, channels, extent in zip(
            ("high", "low"), r, self.out_split, sizes, strict=True
        ):
            name = f"the {side} part of the residual"
            shape = (given.shape[0], channels, *extent)
            if part is None:
                if channels:
                    raise ValueError(
                        f"FusedConv2d: {name} must be {shape} like the output, got None"
                    )
                continue
            if not isinstance(part, Tensor):
                raise TypeError(
                    f"FusedConv2d: {name} must be a tensor or None, got {type(part).__name__}"
                )
            if part.shape != shape:
                raise ValueError(
                    f"FusedConv2d: {name} must be {shape} like the output, got {tuple(part.shape)}"
                )
            check_same("FusedConv2d", name, part, "the input", given)

    def _in_one_launch(self) -> bool:
        """Whether the operator covers it, and is more than one plain convolution."""
        any_high = self.in_split[0] or self.out_split[0]
        return bool(any_high and not self.uncovered and not self._is_plain())

    def _is_plain(self) -> bool:
        """Whether it is one convolution: of the high part, or of all parts, pooled.

        The latter is for our kernels, too, where a family is named.
        """
        if not self.pools:
            return not (self.in_split[1] or self.out_split[1])
        named = self.family in KERNEL_FAMILIES
        return not (self.out_split[1] or named) and self.geometry["groups"] == 1

    def _operator(self, x: Parts, size: Pair, r: Parts, weight: Tensor, scale: Tensor) -> Parts:
        high_out, low_out = self.out_split
        activation = ACTIVATIONS[self.activation]
        high, low = run_native(
            torch.ops.octconv_cuda.inference,
            *x, weight, None, scale, self.shift, *r, activation.epilogue,
            high_out, size, 2 if self.pools else 1, allow_tf32(weight), self.family or "",
        )  # fmt: skip
        if activation.most is not None:
            high, low = high.clamp_max(activation.most), low.clamp_max(activation.most)
        return high if high_out else None, low if low_out else None

    def _composition(self, x: Parts, r: Parts, weight: Tensor) -> Parts:
        bias = self.shift.to(weight.dtype)
        if self._is_plain():
            high = pool_concat(*x) if self.pools else x[0]
            assert high is not None
            return convolution(high, weight, bias, r[0], self.activation, **self.geometry), None
        geometry = {**self.geometry, "stride": 2 if self.pools else 1}
        y = oct_conv2d(x, weight, bias, out_channels=self.out_split, family=self.family, **geometry)
        function = ACTIVATIONS[self.activation].function
        high, low = (
            None if part is None else function(part if other is None else part + other)
            for part, other in zip(as_parts("FusedConv2d", y), r, strict=True)
        )
        return high, low

    def _packed_for(self, x: Parts) -> Packed | None:
        """What is laid out for oneDNN, made anew where tensors were written to.

        None where others stand in their place, as ``torch.func.functional_call`` puts them.
        """
        packed = self.packed  # once: another thread may make it anew
        if packed is None or not packed.takes(x):
            return None
        if not torch.compiler.is_compiling():
            stamps = [*zip(self._stamps(), packed.made_from, strict=True)]
            if any(now.tensor is not then.tensor for now, then in stamps):
                return None
            if any(now.version != then.version for now, then in stamps):
                self._pack()
                packed = self.packed
        return packed

    def _stamps(self) -> tuple[Stamp, ...]:
        tensors = (self.weight, self.scale, self.shift)
        return tuple(Stamp(t, 0 if t is None or t.is_inference() else t._version) for t in tensors)

    def _pack(self) -> None:
        self.packed = None
        stamps = self._stamps()
        if can_pack(self.weight) and self.in_split[0] and self.out_split[0]:
            packed = Packed(
                self.weight if self.scale is None else scaled(self.weight, self.scale),
                self.shift.to(self.weight.dtype),
                self.in_split,
                self.out_split,
                self.activation,
                pools=self.pools,
                depthwise=is_depthwise(self.in_split, self.geometry["groups"]),
                **self.geometry,
            )
            packed.made_from = stamps
            self.packed = packed

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FusedConv2d":
        """To another device or dtype; what the epilogue scales and adds stays float32."""
        scale, shift = self.scale, self.shift
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if scale is not None:
            if scale.is_meta:  # without values to keep
                scale, shift = torch.empty_like(scale), torch.empty_like(shift)
                scale, shift = (fn(part).float() for part in (scale, shift))
            self.scale, self.shift = scale.to(self.weight.device), shift.to(self.weight.device)
        self._pack()
        return self

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._pack()

    def __getstate__(self) -> dict[str, Any]:
        """What is laid out for oneDNN is made anew."""
        return {**self.__dict__, "packed": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """After a copy too."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._pack()

    def extra_repr(self) -> str:
        """The (high, low) channels, the kernel, and what follows."""
        kernel = tuple(self.weight.shape[2:])
        return f"{self.in_split}, {self.out_split}, {kernel}, activation={self.activation!r}"
