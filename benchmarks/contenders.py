"""The contenders: each is the same layer, as a fast user of that approach would write it.

Every one gets channels_last inputs and weights, and the same weight values. All are timed through
the same public calls: the module itself, and ``torch.autograd.grad`` for gradients.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

import octconv_cuda
from octconv_cuda import reference
from octconv_cuda.problem import Pair

from .layer_list import Layer
from .machine import with_trials

__all__ = [
    "BUILDERS",
    "MODES",
    "ON_TRIAL",
    "PARTS_ON_TRIAL",
    "Composed",
    "Contender",
    "bind",
    "trials_of_contender",
]

MODES = ("forward", "input_gradient", "weight_gradient", "forward_backward")
ON_TRIAL = "octconv_cuda_trial"  # the contender with all that is on trial, beside the default one
_PARTS: str = torch.ops.octconv_cuda.trial_names()
PARTS_ON_TRIAL = tuple(f"{ON_TRIAL}:{part}" for part in _PARTS.split(","))  # with one part of it


class Contender(NamedTuple):
    """A layer ready to be called.

    Attributes:
        run: The parts of the input to the parts of the output, each a tensor.
        parameters: What a weight gradient is taken of.
        merge: Their gradients to those of the vanilla weight and, if there is one, bias.
        kernel: Given the input's parts, what serves the call.
        trials: What may serve it that has run on no GPU yet, as the environment asks for it.
    """

    run: Callable[..., tuple[Tensor, ...]]
    parameters: tuple[Tensor, ...]
    merge: Callable[..., tuple[Tensor, ...]]
    kernel: Callable[..., str]
    trials: str = ""


class Composed(nn.Module):
    """The plain octave layer: four ``nn.Conv2d``, a pool, an upsample, two adds.

    Each path owns its weight, as in public implementations; slices of one would be copied per call.
    """

    def __init__(
        self, in_channels: Pair, out_channels: Pair, kernel_size: int, bias: bool = True
    ) -> None:
        super().__init__()
        (high_in, low_in), (high_out, low_out) = in_channels, out_channels
        pad = kernel_size // 2
        self.high_to_high = nn.Conv2d(high_in, high_out, kernel_size, padding=pad, bias=bias)
        self.low_to_high = nn.Conv2d(low_in, high_out, kernel_size, padding=pad, bias=False)
        self.high_to_low = nn.Conv2d(high_in, low_out, kernel_size, padding=pad, bias=False)
        self.low_to_low = nn.Conv2d(low_in, low_out, kernel_size, padding=pad, bias=bias)

    def forward(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C_high, H, W) and (N, C_low, ceil(H/2), ceil(W/2)) to the same of the output."""
        size = (high.shape[2], high.shape[3])
        return (
            self.high_to_high(high) + reference.up(self.low_to_high(low), size),
            self.low_to_low(low) + self.high_to_low(reference.pool(high)),
        )

    def load(self, weight: Tensor, bias: Tensor | None) -> None:
        """Copies the four paths out of a vanilla weight [high | low] x [high | low]."""
        h_out, h_in = self.high_to_high.weight.shape[:2]
        with torch.no_grad():
            self.high_to_high.weight.copy_(weight[:h_out, :h_in])
            self.low_to_high.weight.copy_(weight[:h_out, h_in:])
            self.high_to_low.weight.copy_(weight[h_out:, :h_in])
            self.low_to_low.weight.copy_(weight[h_out:, h_in:])
            if bias is not None:
                _bias_of(self.high_to_high).copy_(bias[:h_out])
                _bias_of(self.low_to_low).copy_(bias[h_out:])

    def merge(self, *gradients: Tensor) -> tuple[Tensor, ...]:
        """Gradients in the order of ``parameters()`` to those of the vanilla weight and bias."""
        of = {name: g for (name, _), g in zip(self.named_parameters(), gradients, strict=True)}
        rows = [
            torch.cat([of[f"high_to_{part}.weight"], of[f"low_to_{part}.weight"]], 1)
            for part in ("high", "low")
        ]
        biases = [g for name, g in of.items() if name.endswith("bias")]
        return (torch.cat(rows), *([torch.cat(biases)] if biases else []))


def trials_of_contender(contender: str) -> str:
    """What a contender's name says of ``Contender.trials``."""
    name, _, part = contender.partition(":")
    return (part or "1") if name == ON_TRIAL else ""


def bind(
    contender: Contender, inputs: Sequence[Tensor], output_gradients: Sequence[Tensor], mode: str
) -> Callable[[], tuple[Tensor, ...]]:
    """The call that is timed, without arguments.

    It returns what its mode is named after: outputs, input gradients, parameter gradients, or
    (forward_backward) all of them in this order. In the gradient modes the forward pass runs once,
    here.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
    call = _bind(contender, inputs, output_gradients, mode)
    return with_trials(call, contender.trials) if contender.trials else call


def _bind(
    contender: Contender, inputs: Sequence[Tensor], output_gradients: Sequence[Tensor], mode: str
) -> Callable[[], tuple[Tensor, ...]]:
    run = contender.run
    for_inputs = mode in ("input_gradient", "forward_backward")
    for_parameters = mode in ("weight_gradient", "forward_backward")
    inputs = [tensor.detach().requires_grad_(for_inputs) for tensor in inputs]
    for parameter in contender.parameters:
        parameter.requires_grad_(for_parameters)
    wanted = [*inputs * for_inputs, *contender.parameters * for_parameters]

    if mode == "forward":
        return lambda: run(*inputs)
    if mode == "forward_backward":

        def forward_backward() -> tuple[Tensor, ...]:
            outputs = run(*inputs)
            return (*outputs, *torch.autograd.grad(outputs, wanted, output_gradients))

        return forward_backward
    outputs = run(*inputs)
    return lambda: torch.autograd.grad(outputs, wanted, output_gradients, retain_graph=True)


def _vanilla(layer: Layer, alpha: float, weight: Tensor, bias: Tensor | None) -> Contender:
    module = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        padding=layer.kernel_size // 2,
        bias=bias is not None,
    )
    module.load_state_dict(_state(weight, bias))
    _like(module, weight)

    def kernel(x: Tensor) -> str:
        return _backend(module, x)

    return Contender(lambda x: (module(x),), tuple(module.parameters()), _as_they_are, kernel)


def _composed(layer: Layer, alpha: float, weight: Tensor, bias: Tensor | None) -> Contender:
    module = Composed(
        octconv_cuda.split_channels(layer.in_channels, alpha),
        octconv_cuda.split_channels(layer.out_channels, alpha),
        layer.kernel_size,
        bias is not None,
    )
    module.load(weight, bias)
    _like(module, weight)

    def kernel(high: Tensor, low: Tensor) -> str:
        return _backend(module.high_to_high, high)

    return Contender(module, tuple(module.parameters()), module.merge, kernel)


def _composed_compiled(
    layer: Layer, alpha: float, weight: Tensor, bias: Tensor | None
) -> Contender:
    composed = _composed(layer, alpha, weight, bias)
    # fullgraph: an error instead of eager code in disguise.
    run = torch.compile(composed.run, dynamic=False, fullgraph=True)
    return composed._replace(run=run, kernel=lambda *maps: f"inductor + {composed.kernel(*maps)}")


def _octconv_cuda(layer: Layer, alpha: float, weight: Tensor, bias: Tensor | None) -> Contender:
    module = octconv_cuda.OctConv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        alpha_in=alpha,
        alpha_out=alpha,
        bias=bias is not None,
    )
    module.load_state_dict(_state(weight, bias))
    _like(module, weight)

    def run(high: Tensor, low: Tensor) -> tuple[Tensor, ...]:
        maps: tuple[Tensor, ...] = module((high, low))
        return maps

    def kernel(high: Tensor, low: Tensor) -> str:
        return module.explain((high, low)).kernel

    return Contender(run, tuple(module.parameters()), _as_they_are, kernel)


def _on_trial(
    trials: str, layer: Layer, alpha: float, weight: Tensor, bias: Tensor | None
) -> Contender:
    own = _octconv_cuda(layer, alpha, weight, bias)
    return own._replace(kernel=with_trials(own.kernel, trials), trials=trials)


# Each takes (layer, alpha, weight, bias); vanilla knows no alpha.
BUILDERS: dict[str, Callable[[Layer, float, Tensor, Tensor | None], Contender]] = {
    "vanilla": _vanilla,
    "composed": _composed,
    "composed_compiled": _composed_compiled,
    "octconv_cuda": _octconv_cuda,
    **{name: partial(_on_trial, trials_of_contender(name)) for name in (ON_TRIAL, *PARTS_ON_TRIAL)},
}


def _state(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    return {"weight": weight} if bias is None else {"weight": weight, "bias": bias}


def _like(module: nn.Module, weight: Tensor) -> None:
    layout = torch.channels_last
    module.to(weight.device, weight.dtype, memory_format=layout)  # type: ignore[call-overload]


def _as_they_are(*gradients: Tensor) -> tuple[Tensor, ...]:
    return gradients


def _bias_of(module: nn.Conv2d) -> Tensor:
    assert module.bias is not None
    return module.bias


def _backend(module: nn.Conv2d, x: Tensor) -> str:
    """PyTorch's own choice of a convolution backend for this call, such as "mkldnn" or "cudnn"."""
    backend = torch._C._select_conv_backend(
        x,
        module.weight,
        module.bias,
        list(module.stride),
        list(module.padding),
        list(module.dilation),
        False,
        [0, 0],
        module.groups,
    )
    return str(backend).rsplit(".", 1)[-1].lower()
