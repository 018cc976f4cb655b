"""Times octave networks against their vanilla twins over alphas, each treatment alike for all.

``python -m benchmarks.networks`` measures ResNet-50 on this machine: on a CPU the paper's setting
(one thread, 224 px, batch 1). Results go to benchmarks/results/<machine>/ as JSON with a picture
beside it. Exit code 1: a treatment computed a wrong result.
"""

import argparse
import copy
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from torch.autograd import forward_ad

from octconv_cuda import cost, models

from . import network_report
from .files import RESULTS, json_path, write_json
from .gpu import gpu_of
from .inputs import photo_crops
from .machine import DTYPES, asked_trials, describe, precision, slug, stale_library
from .timing import interleaved
from .treatments import TREATMENTS, calibrate, inference_call, prepared, training_call

__all__ = ["Case", "main", "run_case"]

ALPHAS = (0.0, 0.125, 0.25, 0.5, 0.75)
MODES = ("inference", "training")
# What is timed may be as far from float64 as twice what PyTorch's own operators are, and this,
# relative to the norm over so many images: of one, how far these are off is luck.
_TOLERANCE = 1e-3
_IMAGES = 8
Row = dict[str, Any]


class Case(NamedTuple):
    """What is timed side by side: one network and treatment over alphas, 0 first."""

    network: str
    variant: str
    batch: int
    dtype: str
    mode: str
    treatment: str
    alphas: tuple[float, ...]
    size: int

    def __str__(self) -> str:
        """For progress and errors."""
        return f"{self.network}, batch {self.batch}, {self.mode}, {self.treatment}"


def run_case(
    case: Case, device: torch.device, samples: int, min_time: float, progress: Any = lambda: None
) -> tuple[list[Row], list[str]]:
    """Rows of what was timed, and what was refused because its result was wrong.

    Args:
        case: What to time.
        device: Where.
        samples: Samples of each alpha.
        min_time: Seconds that the samples of one alpha last together at least.
        progress: Called after each sample.
    """
    torch.compiler.reset()
    count = case.batch * math.ceil(_IMAGES / case.batch)
    crops = photo_crops(count, (case.size, case.size), torch.Generator().manual_seed(0))
    calls, alphas, refused = [], [], []
    with precision(case.dtype):
        for alpha in case.alphas:
            torch.manual_seed(0)
            network = _network(case, alpha)
            images = _prepared_input(crops, case, device)
            try:
                call, wrong = _checked(case, network, images, device)
            except torch._dynamo.exc.TorchDynamoException as error:
                wrong, call = f"does not compile: {str(error).splitlines()[0]}", None
            if wrong or call is None:
                refused.append(f"{case}, alpha {alpha}: {wrong}")
                continue
            calls.append(call)
            alphas.append(alpha)
        gpu = gpu_of(device)
        timings = interleaved(calls, gpu, samples, min_time, progress, kernels=False)
    rows = []
    for alpha, timing in zip(alphas, timings, strict=True):
        with torch.device("meta"):
            total = cost.network_cost(_network(case, alpha), (case.batch, 3, case.size, case.size))
        rows.append({**case._asdict(), "alpha": alpha, "flops": total.flops, **timing._asdict()})
        del rows[-1]["alphas"]
    return rows, refused


def _prepared_input(image: Tensor, case: Case, device: torch.device) -> Tensor:
    """The images where and as the network takes them."""
    dtype = torch.float32 if case.mode == "training" else DTYPES[case.dtype]
    return image.to(device, dtype, memory_format=torch.channels_last)


def _network(case: Case, alpha: float) -> nn.Module:
    arguments = {"variant": case.variant} if case.variant else {}
    network: nn.Module = getattr(models, case.network)(alpha, **arguments)
    return network


def _checked(
    case: Case, network: nn.Module, images: Tensor, device: torch.device
) -> tuple[Any, str]:
    """The call that is timed, of the first images, and what is wrong with its results."""
    network = prepared(network, device, images.dtype)
    x = images[: case.batch].clone()
    if case.mode == "training":
        few, eager = x[:_IMAGES], case.treatment.replace("graphed", "eager")
        gradients = [
            _gradient(copy.deepcopy(network), few, eager),
            *(_gradient(n, few.to(p.dtype), "composed") for n, p in _copies(network)),
        ]
        return training_call(network, x, case.treatment), _judged("the gradient", *gradients)
    calibrate(network, images)
    call = inference_call(network, x, case.treatment)
    outputs = [_outputs(call, x, images)]
    for other, parameter in _copies(network):
        image = x.to(parameter.dtype)
        outputs.append(_outputs(_composed(inference_call(other, image, "eager")), image, images))
    return call, _judged("the output", *outputs)


def _judged(name: str, result: Tensor, of_torch: Tensor, exact: Tensor) -> str:
    """What is wrong with a result; empty if nothing is."""
    error, allowed = (float((y - exact).norm() / exact.norm()) for y in (result, of_torch))
    if error <= 2 * allowed + _TOLERANCE:
        return ""
    return f"{name} is off by {error:.1e} of the norm, that of PyTorch's operators {allowed:.1e}"


def _copies(network: nn.Module) -> list[tuple[nn.Module, nn.Parameter]]:
    """In the network's own dtype and in float64, each with one of its parameters."""
    copies = [copy.deepcopy(network), copy.deepcopy(network).double()]
    return [(other, next(other.parameters())) for other in copies]


def _composed(call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The call by PyTorch's own operators, which serve octave layers in forward mode."""

    def composed() -> Tensor:
        with forward_ad.dual_level():  # type: ignore[no-untyped-call]
            return call()

    return composed


def _gradient(network: nn.Module, images: Tensor, treatment: str) -> Tensor:
    """Of all parameters, in float64, of one step of training; "composed": as ``_composed``."""
    composed = treatment == "composed"
    call = training_call(network, images, "eager" if composed else treatment)
    (_composed(call) if composed else call)()
    return torch.cat(
        [p.grad.double().flatten() for p in network.parameters() if p.grad is not None]
    )


def _outputs(call: Callable[[], Tensor], x: Tensor, images: Tensor) -> Tensor:
    """For all images, last ones first, of a call that reads ``x``; the first ones stay there."""
    outputs = []
    for part in reversed(images.split(len(x))):
        x.copy_(part)
        outputs.append(call().double())
    return torch.cat(outputs)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit code."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    args = _parse(argv)
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    machine = describe(device)
    if warning := stale_library(machine):
        console.print(warning, style="yellow", markup=False, soft_wrap=True)
    cases = _cases(args)
    result: dict[str, Any] = {
        "machine": machine,
        "settings": {
            "memory_format": "channels_last",
            "input": "photo",
            "samples": args.samples,
            "min_time_s": args.min_time,
            "trial": args.trial,
        },
        "timings": [],
    }
    out = args.out or RESULTS / slug(str(machine["device"])) / "networks.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    refused: list[str] = []
    with Progress(console=console) as progress:
        task = progress.add_task("", total=sum(len(c.alphas) * args.samples for c in cases))
        for case in cases:
            progress.update(task, description=str(case))
            rows, wrong = run_case(
                case, device, args.samples, args.min_time, lambda: progress.advance(task)
            )
            result["timings"] += rows
            refused += wrong
            write_json(out, result)  # after each case, so that an interruption loses only one
    if result["timings"]:
        network_report.draw(result, out.with_suffix(".png"))
        console.print(network_report.table(result))
        console.print(f"Wrote {out} and {out.with_suffix('.png')}", soft_wrap=True)
    for text in refused:
        console.print(f"refused: {text}", style="red", markup=False, soft_wrap=True)
    return 1 if refused else 0


def _cases(args: argparse.Namespace) -> list[Case]:
    cases = []
    for name, batch, mode in itertools.product(args.networks, args.batches, args.modes):
        for treatment in args.treatments:
            if mode == "training" and treatment.startswith("fused"):
                continue
            variant = args.variant if "res" in name else ""
            cases.append(
                Case(
                    name, variant, batch, args.dtype, mode, treatment, tuple(args.alphas), args.size
                )
            )
    return cases


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    cuda = torch.cuda.is_available()
    names = [name for name in models.__all__ if name.startswith("oct_")]
    add = parser.add_argument
    add("--networks", nargs="+", metavar="NAME", default=["resnet50"], help=", ".join(names))
    add("--variant", choices=("v1", "v2"), default="v1", help="of ResNets")
    add("--device", choices=("cpu", "cuda"), default="cuda" if cuda else "cpu")
    add("--dtype", choices=tuple(DTYPES), help="default: bfloat16 on CUDA, else float32")
    add("--batches", nargs="+", type=int, metavar="N", help="default: 1; on CUDA 1 16 64 256")
    add("--alphas", nargs="+", type=float, metavar="A", default=list(ALPHAS), help="0 is added")
    add("--modes", nargs="+", choices=MODES, default=["inference"])
    add("--treatments", nargs="+", choices=TREATMENTS)
    add("--size", type=int, default=224, help="pixels of each side")
    add("--threads", type=int, default=1, help="CPU threads")
    add("--samples", type=int, default=15, help="samples of each alpha")
    add("--min-time", type=float, default=2.0, metavar="S", help="seconds they last together")
    add("--out", type=json_path, help="JSON file (default: results/<machine>/networks.json)")
    args = parser.parse_args(argv)
    args.dtype = args.dtype or ("bfloat16" if args.device == "cuda" else "float32")
    args.batches = args.batches or ([1, 16, 64, 256] if args.device == "cuda" else [1])
    on_gpu = args.device == "cuda"
    args.treatments = args.treatments or [t for t in TREATMENTS if on_gpu or "graphed" not in t]
    args.alphas = sorted({0.0, *args.alphas})
    args.networks = [f"oct_{name.removeprefix('oct_')}" for name in args.networks]
    if unknown := set(args.networks) - set(names):
        parser.error(f"--networks must be of {', '.join(names)}, got {', '.join(unknown)}")
    try:
        args.trial = asked_trials()
    except ValueError as error:
        parser.error(str(error))
    if on_gpu and not cuda:
        parser.error("--device cuda: this PyTorch sees no GPU")
    if not on_gpu and any("graphed" in treatment for treatment in args.treatments):
        parser.error("--treatments: CUDA graphs need --device cuda")
    if not all(0 <= alpha <= 1 for alpha in args.alphas):
        parser.error(f"--alphas must be between 0 and 1, got {args.alphas}")
    if min(args.samples, args.threads, args.size, *args.batches) < 1 or args.min_time < 0:
        parser.error("--samples, --threads, --size and --batches must be positive")
    if not _cases(args):
        parser.error(f"fused networks are for inference, got --modes {' '.join(args.modes)}")
    return args


if __name__ == "__main__":
    sys.exit(main())
