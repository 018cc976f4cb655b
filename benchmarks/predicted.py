"""Prints what the plans of the fused kernels predict, beside what was measured of the same.

``python -m benchmarks.predicted``; ``--help`` lists the options. The kernels are those that serve
on the GPU by default, or as OCTCONV_CUDA_TRIAL asks, the predictions those of their plans, whose
constants are fitted to times on an H100 and an H200 where csrc/plan says so, and assumed elsewhere.
What was measured comes from the newest file in benchmarks/results that has it, for whatever plan
was chosen then. Vanilla's times are assumed, of an H200 alone, whose peak was measured: a share of
that, or the traffic with memory.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from octconv_cuda import split_channels
from octconv_cuda.cost import macs

from .contenders import trials_of_contender
from .files import RESULTS
from .layer_list import HEADLINE_ALPHA, LAYERS, Layer, batch_word
from .machine import asked_trials

__all__ = ["PASSES", "Prediction", "main", "measured", "predict"]

# Of a large bfloat16 matrix product, measured on this GPU.
PEAK_GPU, FLOPS_PER_SECOND = "H200", 790e12
LAUNCH_US = 2.5  # guessed, as that of our kernels
# The geometric mean of the 3x3 layers, as measured on an H100; assumed unless told otherwise.
VANILLA_SHARE = 0.75
DTYPE = "bfloat16"
PASSES = ("forward", "input_gradient", "weight_gradient")

Case = tuple[str, int, float, str]  # layer, batch, alpha, pass


class Prediction(NamedTuple):
    """What a plan says of a pass of a layer, in microseconds, and vanilla's time as assumed.

    ``vanilla_us`` is None for a GPU whose peak was not measured.
    """

    layer: Layer
    batch: int
    mode: str
    us: float
    text: str
    vanilla_us: float | None

    @property
    def kernel(self) -> str:
        """Its name."""
        return self.text.partition(",")[0]


def predict(
    layer: Layer, batch: int, mode: str, alpha: float, share: float, gpu: str
) -> Prediction:
    """What the kernel that serves on a GPU takes; ``share`` is vanilla's of the peak rate."""
    inputs, outputs = (split_channels(n, alpha) for n in (layer.in_channels, layer.out_channels))
    grad = int(mode == "input_gradient")
    numbers = [batch, *layer.size, *inputs, *outputs, layer.kernel_size, 1, grad]
    plan = _plan(numbers, mode, gpu)
    us = plan["us"]["total"] if isinstance(plan["us"], dict) else plan["us"]
    vanilla_us = _vanilla_us(layer, batch, share) if gpu == PEAK_GPU else None
    return Prediction(layer, batch, mode, us, plan["text"], vanilla_us)


def measured(gpu: str) -> dict[Case, tuple[float, str]]:
    """Microseconds of our layers on a GPU, and the plan of the forward pass in the same file.

    Of what is on trial only if the environment asks for just that.
    """
    files = (json.loads(path.read_text()) for path in RESULTS.glob("*/*.json"))
    results = [file for file in files if "rows" in file and _is_of(file["machine"]["device"], gpu)]
    results.sort(key=lambda result: result["machine"]["date"])
    known: dict[str, dict[Case, tuple[float, str]]] = defaultdict(dict)
    for result in results:
        of_all_rows = result.get("settings", {}).get("trial") or ""  # False in older files
        for row in result["rows"]:
            tried = trials_of_contender(row["contender"])
            if (tried or row["contender"] == "octconv_cuda") and (
                (row["dtype"], row["input"]) == (DTYPE, "noise")
            ):
                case = (row["layer"], row["batch"], row["alpha"], row["mode"])
                known[tried or of_all_rows][case] = row["median_us"], row["kernel"]
    return known[""] | known[asked_trials()]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit code."""
    args = _parse(argv)
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        predictions = list(_predictions(args))
    except (RuntimeError, ValueError) as error:  # of a GPU or a trial that the plans do not know
        print(error, file=sys.stderr)
        return 2
    console.print(_table(predictions, args))
    for p in predictions if args.plans else ():
        text = f"{p.layer.name}, batch {p.batch}, {p.mode}: {p.text}"
        console.print(text, soft_wrap=True)
    return 0


def _plan(numbers: list[int], mode: str, gpu: str) -> dict[str, Any]:
    """By family sm90 where that is the default and covers it, else by family sm80."""
    ops = torch.ops.octconv_cuda
    of_weight = mode == "weight_gradient"
    operator = ops.plan_weight_grad_sm90 if of_weight else ops.plan_forward_sm90
    tried = () if of_weight else (asked_trials(),)
    try:
        plan: dict[str, Any] = json.loads(operator(numbers, DTYPE, gpu, *tried))
        if plan.get("is_default", True):
            return plan
    except RuntimeError as error:
        if "does not cover" not in str(error):
            raise
    operator = ops.plan_weight_grad if of_weight else ops.plan_forward
    return json.loads(operator(numbers, DTYPE, gpu))  # type: ignore[no-any-return]


def _vanilla_us(layer: Layer, batch: int, share: float) -> float:
    """Launch and the longer of arithmetic and traffic; the three passes are taken to be alike."""
    inputs, outputs = (layer.in_channels, 0), (layer.out_channels, 0)
    kernel = (layer.kernel_size, layer.kernel_size)
    flops = 2 * macs(inputs, outputs, kernel, layer.size, batch=batch)
    numbers = [batch, *layer.size, *inputs, *outputs, layer.kernel_size, 1, 0]
    plan = json.loads(torch.ops.octconv_cuda.plan_forward(numbers, DTYPE, PEAK_GPU))
    return LAUNCH_US + max(1e6 * flops / (share * FLOPS_PER_SECOND), plan["us"]["memory"])


def _is_of(device: str, gpu: str) -> bool:
    """Whether a device's name, such as "NVIDIA A100-SXM4-80GB", is that of a GPU of the plans."""
    others = re.search(r"\b(Laptop|D|Ti|PCIe|NVL)\b", device, re.IGNORECASE)
    return not others and bool(re.search(rf"\b{re.escape(gpu)}\b", device, re.IGNORECASE))


def _predictions(args: argparse.Namespace) -> Iterator[Prediction]:
    for layer in LAYERS:
        if not any(text in layer.name for text in args.layers):
            continue
        for batch in layer.batches_of(args.batches):
            for mode in PASSES:
                yield predict(layer, batch, mode, args.alpha, args.vanilla_share, args.gpu)


def _table(predictions: Sequence[Prediction], args: argparse.Namespace) -> Table:
    share = f"{args.vanilla_share:.0%}"
    kernels = f"with OCTCONV_CUDA_TRIAL={tried}" if (tried := asked_trials()) else "by default"
    title = (
        f"PREDICTED for {args.gpu}, {DTYPE}, alpha {args.alpha:g}, by the kernels that serve there "
        f"{kernels}; us of kernel time.\nMeasured: the newest in benchmarks/results, by the plans "
        f"of then. Vanilla, of an {PEAK_GPU} alone, at {share}\nof {FLOPS_PER_SECOND / 1e12:.0f} "
        "TFLOP/s, or as long as its traffic with memory takes, is an assumption."
    )
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in ("layer", "batch", "pass", "kernel"):
        table.add_column(name, justify="right" if name == "batch" else "left")
    columns = (
        "predicted",
        "measured",
        "predicted /\nmeasured",
        f"vanilla\nat {share}",
        "speed-up\npredicted",
    )
    for name in columns:
        table.add_column(name, justify="right")
    known = measured(args.gpu)
    last: tuple[Layer, int] | None = None
    for p in predictions:
        is_new = last != (p.layer, p.batch)
        if is_new and last:
            table.add_section()
        last = (p.layer, p.batch)
        us, kernel = known.get((p.layer.name, p.batch, args.alpha, p.mode), (None, ""))
        # Files name the kernel of the forward pass only; another one tells nothing of this one.
        if us and p.mode == "forward" and kernel.partition(",")[0] != p.kernel:
            us = None
        table.add_row(
            *((p.layer.name, str(p.batch)) if is_new else ("", "")),
            p.mode.replace("_", " "),
            p.kernel,
            f"{p.us:.1f}",
            *((f"{us:.1f}", f"{p.us / us:.2f}") if us else ("", "")),
            *((f"{p.vanilla_us:.1f}", f"{p.vanilla_us / p.us:.2f}x") if p.vanilla_us else ("", "")),
        )
    return table


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predicted", description=__doc__)
    add = parser.add_argument
    add("--layers", nargs="+", metavar="TEXT", default=[""], help="names, or parts of names")
    add("--batches", nargs="+", type=batch_word, metavar="N", default=["headline", "1", "32"])
    add("--alpha", type=float, metavar="A", default=HEADLINE_ALPHA)
    add("--gpu", default=PEAK_GPU, help="one of csrc/plan/device_facts.cpp (default: %(default)s)")
    add(
        "--vanilla-share",
        type=float,
        metavar="S",
        default=VANILLA_SHARE,
        help=f"of {FLOPS_PER_SECOND / 1e12:.0f} TFLOP/s that vanilla is assumed to reach "
        "(default: %(default).2f)",
    )
    add("--plans", action="store_true", help="the plans in words, too")
    args = parser.parse_args(argv)
    if not 0 < args.vanilla_share <= 1:
        parser.error(f"--vanilla-share must be above 0, at most 1, got {args.vanilla_share}")
    if not 0 <= args.alpha <= 1:
        parser.error(f"--alpha must be between 0 and 1, got {args.alpha}")
    return args


if __name__ == "__main__":
    sys.exit(main())
