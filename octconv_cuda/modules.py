"""OctConv2d, the layer that stands where ``nn.Conv2d`` stood."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from .call import Call, prepare
from .functional import Explanation, explanation, run
from .maps import Maps, OctaveMaps, channel_pair
from .problem import Geometry, Pair, check_channels, check_family, is_pair

__all__ = ["OctConv2d", "splits_told"]

_SPLITS = "octave_splits"
_HOOKS = (
    "_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks",
    "_state_dict_pre_hooks", "_state_dict_hooks",
    "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip


class OctConv2d(nn.Conv2d):
    """Octave Convolution (Chen et al. 2019) with ``nn.Conv2d``'s parameters and signature.

    ``weight`` (C_out, C_in / groups, k_h, k_w) and ``bias`` (C_out) have the vanilla shapes, so the
    state dict of a vanilla layer loads. Rows are [high | low] outputs, columns [high | low] inputs.

    Args:
        in_channels: Channel count, split by alpha_in, or a (high, low) pair.
        out_channels: Channel count, split by alpha_out, or a (high, low) pair.
        kernel_size: Odd, an int or a pair.
        stride: 1 or 2. At 2 the maps are pooled and convolved at stride 1.
        padding: "same" (the default; ``nn.Conv2d`` has 0) or its value dilation * (k - 1) / 2.
        dilation, groups, bias, padding_mode, device, dtype: As in ``nn.Conv2d``.
        alpha_in: Share of low input channels in [0, 1]; 0.5 where in_channels is a count. 0 makes a
            first layer, which takes a tensor.
        alpha_out: The same for the outputs. 0 makes a last layer, which gives a tensor.
        family: The kernels that must serve the layer; see ``oct_conv2d``. An attribute, too.

    Attributes:
        in_channels, out_channels: The sums, as in ``nn.Conv2d``.
        in_split, out_split: The (high, low) pairs.

    Raises:
        ValueError, TypeError: Arguments that would break the 2:1 ratio of the parts, channels that
            do not divide, alpha outside [0, 1].
    """

    def __init__(
        self,
        in_channels: int | Pair,
        out_channels: int | Pair,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: str | int | Pair = "same",
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        alpha_in: float | None = None,
        alpha_out: float | None = None,
        family: str | None = None,
    ) -> None:
        in_split = channel_pair("OctConv2d", "in_channels", in_channels, alpha_in)
        out_split = channel_pair("OctConv2d", "out_channels", out_channels, alpha_out)
        geometry = Geometry.of(
            "OctConv2d", kernel_size, stride, padding, dilation, groups, padding_mode
        )
        check_channels("OctConv2d", in_split, out_split, groups)
        check_family("OctConv2d", family)
        super().__init__(
            sum(in_split),
            sum(out_split),
            geometry.kernel_size,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            groups,
            bias,
            padding_mode,  # type: ignore[arg-type]
            device,
            dtype,
        )
        self.in_split = in_split
        self.out_split = out_split
        self.family = family

    @classmethod
    def from_conv2d(
        cls, conv: nn.Conv2d, alpha_in: float = 0.5, alpha_out: float = 0.5
    ) -> "OctConv2d":
        """An octave layer with the parameters of a vanilla one (the same objects, not copies).

        Warns if the stride is 2: there the octave layer pools and then convolves, which is another
        function even at alpha 0.

        Raises:
            ValueError: ``conv`` has another padding than "same", an even kernel, a stride over 2, a
                weight or bias that is computed (by a parametrization or pruning), hooks.
            TypeError: ``conv`` is not a vanilla ``nn.Conv2d``, but a subclass, say, which may
                compute another function.
        """
        if not isinstance(conv, nn.Module) or type_before_parametrizations(conv) is not nn.Conv2d:
            raise TypeError(
                "OctConv2d.from_conv2d: conv must be a vanilla nn.Conv2d, "
                f"got {type(conv).__name__}"
            )
        for name in ("weight", "bias"):
            if name not in conv._parameters:
                raise ValueError(
                    f"OctConv2d.from_conv2d: the {name} of conv must be a parameter, got one that "
                    "is computed; convert first, then parametrize or prune"
                )
        if "forward" in vars(conv):
            raise ValueError(
                "OctConv2d.from_conv2d: conv must compute what its class does, got one with a "
                "forward of its own"
            )
        if any(getattr(conv, hooks) for hooks in _HOOKS):
            raise ValueError(
                "OctConv2d.from_conv2d: conv must have no hooks, which would see maps in place of "
                "tensors, got some; convert first, then register them"
            )
        padding = conv.padding if isinstance(conv.padding, str) else tuple(conv.padding)
        layer = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            conv.bias is not None,
            conv.padding_mode,
            device="meta",
            alpha_in=alpha_in,
            alpha_out=alpha_out,
        )
        if layer.stride != (1, 1):
            warnings.warn(
                "OctConv2d.from_conv2d: at stride 2 an octave convolution pools and then convolves "
                "at stride 1, which is another function than the given convolution; train it on",
                stacklevel=2,
            )
        layer.weight, layer.bias = conv.weight, conv.bias
        return layer.train(conv.training)

    def forward(  # type: ignore[override]
        self, input: Maps, size: Pair | None = None
    ) -> Tensor | OctaveMaps:
        """The layer's output for a (high, low) pair, or for a tensor if alpha_in is 0.

        Args:
            input: high (N, C_high, H, W), low (N, C_low, ceil(H/2), ceil(W/2)).
            size: (H, W) of the high grid; needed only where high is absent and H or W is odd.

        Returns:
            OctaveMaps, or a tensor if alpha_out is 0; see ``oct_conv2d``.

        Raises:
            ValueError, TypeError, RuntimeError: See ``oct_conv2d``; ValueError also for parts that
                are not this layer's.
        """
        return run(self._prepare(input, size))

    def explain(self, input: Maps, size: Pair | None = None) -> Explanation:
        """Which path this layer takes for ``input``, and why.

        Raises:
            ValueError, TypeError, RuntimeError: As a call.
        """
        return explanation(self._prepare(input, size))

    def _prepare(self, input: Maps, size: Pair | None) -> Call:
        return prepare(
            "OctConv2d", input, self.weight, self.bias, self.in_split,
            self.out_split, self.stride, self.padding, self.dilation, self.groups,
            self.padding_mode, size, self.family,
        )  # fmt: skip

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Beside the tensors go the splits, in the metadata: vanilla layers load these, too."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, "_metadata", {}).get(prefix[:-1])
        if metadata is not None:
            metadata[_SPLITS] = (self.in_split, self.out_split)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """As in PyTorch, but an error in place of weights of another split."""
        ours = (self.in_split, self.out_split)
        found = splits_told(local_metadata, self) or ours
        if found != ours and any(key.startswith(prefix) for key in state_dict):
            error_msgs.append(
                f"{prefix[:-1] or 'OctConv2d'}: the weight must be of (high, low) channels "
                f"{ours[0]} to {ours[1]}, got one of {found[0]} to {found[1]}; "
                "checkpoints.load lets layers take over those of a state dict"
            )
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def extra_repr(self) -> str:
        """``nn.Conv2d``'s line with the (high, low) pairs in place of the channel counts."""
        counts = f"{self.in_channels}, {self.out_channels}"
        line: str = super().extra_repr()  # type: ignore[no-untyped-call]
        return line.replace(counts, f"{self.in_split}, {self.out_split}", 1)


def splits_told(metadata: object, layer: OctConv2d) -> tuple[Pair, Pair] | None:
    """The (high, low) channels, in and out, that a state dict's metadata tell of a layer's weight.

    None where there is none that such a layer could have: it may come from elsewhere.
    """
    splits = metadata.get(_SPLITS) if isinstance(metadata, Mapping) else None
    if not isinstance(splits, (tuple, list)) or len(splits) != 2:
        return None
    counts = (layer.in_channels, layer.out_channels)
    if not all(
        is_pair(s) and min(s) >= 0 and sum(s) == n for s, n in zip(splits, counts, strict=True)
    ):
        return None
    (high_in, low_in), (high_out, low_out) = splits
    return (high_in, low_in), (high_out, low_out)
