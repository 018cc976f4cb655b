"""One case of the layer benchmark: builds its contenders, checks each, times them together."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from octconv_cuda import cost, split_channels

from . import contenders
from .accuracy import Expectation, WrongResultError, check, expect
from .contenders import bind
from .gpu import gpu_of
from .inputs import octave_maps
from .layer_list import Layer
from .machine import DTYPES, precision
from .timing import interleaved

__all__ = [
    "Case",
    "Outcome",
    "Ready",
    "Row",
    "check_case",
    "flops_and_bytes",
    "random_parameters",
    "run_case",
]

Row = dict[str, str | int | float | None]

# A gradient that is timed many times over one forward pass needs its saved tensors more than once.
torch._functorch.config.donated_buffer = False


class Case(NamedTuple):
    """What is timed together: entries are (contender, alpha), vanilla with alpha 0.

    The layers have no bias unless it is asked for: on CUDA nn.Conv2d adds it in a pass of its own,
    which would make a slow baseline.
    """

    layer: Layer
    batch: int
    dtype: str
    mode: str
    input: str
    entries: tuple[tuple[str, float], ...]
    bias: bool = False

    def __str__(self) -> str:
        """For progress and errors."""
        return f"{self.layer.name}, batch {self.batch}, {self.dtype}, {self.mode}, {self.input}"


class Outcome(NamedTuple):
    """Rows of what was timed; refused: wrong results; skipped: what cannot run on this machine."""

    rows: list[Row]
    refused: list[str]
    skipped: list[str]


class Ready(NamedTuple):
    """A contender whose result was right, with the call that is timed.

    ``verify`` calls it once more and raises WrongResultError where its result is wrong.
    """

    contender: str
    alpha: float
    kernel: str
    call: Callable[[], object]
    verify: Callable[[], None]


def run_case(
    case: Case,
    device: torch.device,
    samples: int,
    min_time: float,
    progress: Callable[[], object] = lambda: None,
) -> Outcome:
    """Checks every entry at its full shape, then times those that passed, interleaved.

    Args:
        case: What to time.
        device: Where.
        samples: Samples of each entry.
        min_time: Seconds that the samples of one entry last together at least.
        progress: Called after each sample.
    """
    gpu = gpu_of(device)
    ready, outcome = check_case(case, device)
    with precision(case.dtype):
        peaks = [gpu.peak_bytes(entry.call) if gpu else None for entry in ready]
        timings = interleaved([e.call for e in ready], gpu, samples, min_time, progress)
        wrong = [_wrong_at_the_end(entry) for entry in ready]
    for entry, peak, timing, error in zip(ready, peaks, timings, wrong, strict=True):
        if error:
            label = f"{case}, alpha {entry.alpha}, {entry.contender}"
            outcome.refused.append(f"{label}, when it had been timed: {error}")
            continue
        flops, traffic = flops_and_bytes(case, entry.alpha)
        outcome.rows.append(
            {
                "layer": case.layer.name,
                "batch": case.batch,
                "alpha": entry.alpha,
                "dtype": case.dtype,
                "mode": case.mode,
                "input": case.input,
                "contender": entry.contender,
                "kernel": entry.kernel,
                **timing._asdict(),
                "peak_bytes": peak,
                "flops": flops,
                "bytes": traffic,
            }
        )
    return outcome


def _wrong_at_the_end(entry: Ready) -> str:
    """By what calls before it, its own or others', have left behind; empty if it is right."""
    try:
        entry.verify()
    except WrongResultError as error:
        return str(error)
    return ""


def check_case(case: Case, device: torch.device) -> tuple[list[Ready], Outcome]:
    """Calls every entry once at its full shape; those that are right, and what became of others.

    None of a case in which what is on trial changes nothing: there is nothing to learn from it.
    """
    torch.compiler.reset()  # each shape is a compilation of its own; none counts against another
    ready: list[Ready] = []
    outcome = Outcome([], [], [])
    with precision(case.dtype):
        weight, bias = random_parameters(case.layer, device, DTYPES[case.dtype], case.bias)
        if _changes_nothing(case, weight, bias):
            return ready, outcome
        for alpha in sorted({alpha for _, alpha in case.entries}):
            names = [name for name, a in case.entries if a == alpha]
            _prepare(case, alpha, names, weight, bias, ready, outcome)
    return ready, outcome


def flops_and_bytes(case: Case, alpha: float) -> tuple[int, int]:
    """Operations of the convolutions; bytes of inputs, weight and outputs, once each.

    forward_backward is the sum of the forward pass and both gradients.
    """
    layer, k = case.layer, case.layer.kernel_size
    channels = split_channels(layer.in_channels, alpha), split_channels(layer.out_channels, alpha)
    passes = 3 if case.mode == "forward_backward" else 1
    flops = 2 * cost.macs(*channels, (k, k), layer.size, batch=case.batch)
    elements = layer.in_channels * layer.out_channels * k * k + sum(
        cost.activation_elements(pair, layer.size, batch=case.batch) for pair in channels
    )
    return passes * flops, passes * elements * DTYPES[case.dtype].itemsize


def _prepare(
    case: Case,
    alpha: float,
    names: Sequence[str],
    weight: Tensor,
    bias: Tensor | None,
    ready: list[Ready],
    outcome: Outcome,
) -> None:
    """Builds and checks the contenders of one alpha; they share their inputs."""
    inputs = _maps(case, case.input, case.layer.in_channels, alpha, weight, seed=1)
    gradients = _maps(case, "noise", case.layer.out_channels, alpha, weight, seed=2)
    expected = expect(inputs, weight, bias, gradients, case.mode)
    for name in names:
        contender = contenders.BUILDERS[name](case.layer, alpha, weight, bias)
        label = f"{case}, alpha {alpha}, {name}"
        try:
            call = bind(contender, inputs, gradients, case.mode)
            verify = partial(_verify, contender, call, case.mode, expected)
            verify()
        except WrongResultError as error:
            outcome.refused.append(f"{label}: {error}")
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = " ".join(str(error).strip().partition("\n\n")[0].split())
            outcome.skipped.append(f"{label}: {reason}")
        except RuntimeError as error:  # a launch that failed, or no memory
            outcome.refused.append(f"{label}: {type(error).__name__}: {error}")
        else:
            ready.append(Ready(name, alpha, contender.kernel(*inputs), call, verify))


def _verify(
    contender: contenders.Contender,
    call: Callable[[], tuple[Tensor, ...]],
    mode: str,
    expected: list[Expectation],
) -> None:
    result = call()
    if mode in ("weight_gradient", "forward_backward"):
        count = len(contender.parameters)
        result = (*result[:-count], *contender.merge(*result[-count:]))
    check(result, expected)


def _changes_nothing(case: Case, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether all that stands beside the default are parts on trial that leave its kernels be.

    Of the forward pass, the one that kernels are named of.
    """
    ours = [entry for entry in case.entries if entry[0] != "vanilla"]
    parts = {name for name, _ in ours} - {"octconv_cuda"}
    if case.mode != "forward" or not parts or not parts <= {*contenders.PARTS_ON_TRIAL}:
        return False
    kernels = set()
    for name, alpha in ours:
        inputs = _maps(case, case.input, case.layer.in_channels, alpha, weight, seed=1)
        contender = contenders.BUILDERS[name](case.layer, alpha, weight, bias)
        kernels.add((alpha, contender.kernel(*inputs)))
    return len(kernels) == len({alpha for _, alpha in ours})


def random_parameters(
    layer: Layer, device: torch.device, dtype: torch.dtype, bias: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Normal weight (channels_last) and bias; of noise each makes outputs of a variance near 1."""
    generator = torch.Generator().manual_seed(0)
    fan_in = layer.in_channels * layer.kernel_size**2
    shape = (layer.out_channels, layer.in_channels, layer.kernel_size, layer.kernel_size)
    weight = torch.randn(shape, generator=generator) / fan_in**0.5
    return (
        weight.to(device, dtype, memory_format=torch.channels_last),
        torch.randn(layer.out_channels, generator=generator).to(device, dtype) if bias else None,
    )


def _maps(
    case: Case, kind: str, channels: int, alpha: float, like: Tensor, seed: int
) -> list[Tensor]:
    """The parts of a map of the layer's size, channels_last: one tensor at alpha 0, else two."""
    split = split_channels(channels, alpha)
    if alpha and 0 in split:
        raise ValueError(f"alpha {alpha} of {channels} channels leaves a part without channels")
    parts = octave_maps(kind, case.batch, split, case.layer.size, seed, like.device)
    return [part.to(like.dtype, memory_format=torch.channels_last) for part in parts]
