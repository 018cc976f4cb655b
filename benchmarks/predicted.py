"""Prints what the plans of the fused kernels predict for the layers. Nothing is measured.

``python -m benchmarks.predicted``; ``--help`` lists the options. Our times come from the models in
csrc/plan_cost.cpp, whose constants were fitted to times on an H100, and in csrc/plan_1x1.cpp and
csrc/weight_grad_cost.cpp, whose constants are assumed. Vanilla's are rooflines: two speed-ups are
shown, over vanilla at a given share of the peak and over vanilla at the peak. On an H100 cuDNN
reached 0.50 to 1.0 of the peak in the 3x3 layers (benchmarks/results/TUNING.md).
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from octconv_cuda import split_channels
from octconv_cuda.cost import activation_elements, macs

from .layer_list import HEADLINE_ALPHA, LAYERS, Layer

__all__ = ["Prediction", "main", "predict"]

# Of an H200, both measured: a large bfloat16 matrix product, and a copy.
FLOPS_PER_SECOND = 790e12
BYTES_PER_SECOND = 4.3e12
# The geometric mean of the 3x3 layers, as measured on an H100; assumed unless told otherwise.
VANILLA_SHARE = 0.75
ELEMENT_BYTES = 2


class Floor(NamedTuple):
    """The least microseconds for a layer's arithmetic and for its traffic with memory."""

    compute: float
    memory: float


class Prediction(NamedTuple):
    """A layer at a batch: our plans, the floors of both layers, vanilla at a share of the peak."""

    layer: Layer
    batch: int
    plan: dict[str, Any]
    input_grad: dict[str, Any]
    weight_grad: dict[str, Any]
    octave: Floor
    vanilla: Floor
    vanilla_us: float

    @property
    def vanilla_floor_us(self) -> float:
        """Launch and roofline."""
        return float(self.plan["device"]["launch_us"]) + max(self.vanilla)

    @property
    def passes_us(self) -> tuple[float, float, float]:
        """Ours: forward, input gradient, weight gradient."""
        forward, input_grad, weight_grad = (
            float(plan["us"]["total"]) for plan in (self.plan, self.input_grad, self.weight_grad)
        )
        return forward, input_grad, weight_grad


def predict(layer: Layer, batch: int, alpha: float, share: float, device: str) -> Prediction:
    """What the model says of a layer; ``share`` is vanilla's of the peak rate."""
    channels = [
        (split_channels(layer.in_channels, a), split_channels(layer.out_channels, a))
        for a in (alpha, 0.0)
    ]
    octave, vanilla = (_floor(layer, batch, *split) for split in channels)
    (high_in, low_in), (high_out, low_out) = channels[0]
    numbers = [batch, *layer.size, high_in, low_in, high_out, low_out, layer.kernel_size, 1, 0]
    ops = torch.ops.octconv_cuda
    plan, input_grad, weight_grad = (
        json.loads(operator([*numbers[:-1], grad], "bfloat16", device))
        for operator, grad in ((ops.plan, 0), (ops.plan, 1), (ops.plan_weight_grad, 0))
    )
    launch = plan["device"]["launch_us"]
    return Prediction(
        layer,
        batch,
        plan,
        input_grad,
        weight_grad,
        octave,
        vanilla,
        launch + max(vanilla.compute / share, vanilla.memory),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit code."""
    args = _parse(argv)
    console = Console(width=None if sys.stdout.isatty() else 150)
    predictions = list(_predictions(args))
    console.print(_table(predictions, args))
    console.print(_training_table(predictions, args))
    if args.plans:
        for p in predictions:
            for plan in (p.plan, p.input_grad, p.weight_grad):
                text = f"{p.layer.name}, batch {p.batch}: {plan['text']}"
                console.print(text, soft_wrap=True)
    return 0


def _floor(layer: Layer, batch: int, inputs: tuple[int, int], outputs: tuple[int, int]) -> Floor:
    kernel = (layer.kernel_size, layer.kernel_size)
    flops = 2 * macs(inputs, outputs, kernel, layer.size, batch=batch)
    elements = sum(activation_elements(c, layer.size, batch=batch) for c in (inputs, outputs))
    elements += sum(inputs) * sum(outputs) * kernel[0] * kernel[1]
    return Floor(1e6 * flops / FLOPS_PER_SECOND, 1e6 * elements * ELEMENT_BYTES / BYTES_PER_SECOND)


def _predictions(args: argparse.Namespace) -> Iterator[Prediction]:
    for layer in LAYERS:
        if not any(text in layer.name for text in args.layers):
            continue
        named = {"headline": (layer.headline_batch,), "all": layer.batches}
        for batch in dict.fromkeys(b for w in args.batches for b in named.get(w) or (int(w),)):
            yield predict(layer, batch, args.alpha, args.vanilla_share, args.gpu)


def _table(predictions: Sequence[Prediction], args: argparse.Namespace) -> Table:
    share = f"{args.vanilla_share:.0%}"
    title = (
        f"PREDICTED, not measured: a forward pass on {args.gpu}, bfloat16, alpha {args.alpha:g}.\n"
        "Times in us. Tiles, and the units that would take so long alone, are of the model in "
        "csrc/plan_cost.cpp.\nFloors at 790 TFLOP/s and 4.3 TB/s, an H200's. Vanilla at "
        f"{share} of these TFLOP/s is an assumption."
    )
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("layer")
    for name in (
        "batch",
        "tiles",
        "tensor\ncores",
        "shared\nmemory",
        "L2",
        "HBM\nfloor",
        "compute\nfloor",
        "ours",
        f"vanilla\nat {share}",
        "vanilla\nfloor",
        f"speed-up\nat {share}",
        "speed-up\nat floor",
    ):
        table.add_column(name, justify="left" if name == "tiles" else "right")
    for p, name in _named(predictions, table):
        us = p.plan["us"]
        numbers = (us["mma"], us["shared"], us["l2"], p.octave.memory, p.octave.compute)
        times = (us["total"], p.vanilla_us, p.vanilla_floor_us)
        table.add_row(
            name,
            str(p.batch),
            _tiles(p.plan),
            *(f"{number:.1f}" for number in (*numbers, *times)),
            f"{p.vanilla_us / us['total']:.2f}x",
            f"{p.vanilla_floor_us / us['total']:.2f}x",
        )
    return table


def _training_table(predictions: Sequence[Prediction], args: argparse.Namespace) -> Table:
    share = f"{args.vanilla_share:.0%}"
    title = (
        f"PREDICTED, not measured: forward and backward on {args.gpu}, as above. Vanilla's three "
        "passes are taken\nto be alike, each with the arithmetic and the traffic of the forward."
    )
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("layer")
    for name in (
        "batch",
        "forward",
        "input\ngradient",
        "weight\ngradient",
        "its\ntiles",
        "its\nsplits",
        "ours",
        f"vanilla\nat {share}",
        "vanilla\nfloor",
        f"speed-up\nat {share}",
        "speed-up\nat floor",
    ):
        table.add_column(name, justify="left" if name.endswith("tiles") else "right")
    for p, name in _named(predictions, table):
        ours, vanilla, floor = sum(p.passes_us), 3 * p.vanilla_us, 3 * p.vanilla_floor_us
        table.add_row(
            name,
            str(p.batch),
            *(f"{us:.1f}" for us in p.passes_us),
            p.weight_grad["tiles"],
            "/".join(str(splits) for _, _, splits in p.weight_grad["shapes"]),
            *(f"{us:.1f}" for us in (ours, vanilla, floor)),
            f"{vanilla / ours:.2f}x",
            f"{floor / ours:.2f}x",
        )
    return table


def _named(predictions: Sequence[Prediction], table: Table) -> Iterator[tuple[Prediction, str]]:
    """Each with its layer's name where that is new; there a section of the table begins."""
    layer = None
    for p in predictions:
        if layer is not None and layer != p.layer:
            table.add_section()
        yield p, p.layer.name if layer != p.layer else ""
        layer = p.layer


def _tiles(plan: dict[str, Any]) -> str:
    def shape(kind: str) -> str:
        width, height, splits = plan[kind]["shape"]
        return f"{width}x{height}" + (f"/{splits}" if splits > 1 else "")

    if plan["joint"]["items"]:
        return f"{plan['tiles']} {plan['joint']['shape'][0]}"
    return f"{plan['tiles']} {shape('high')}, {shape('low')}"


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predicted", description=__doc__)
    add = parser.add_argument
    add("--layers", nargs="+", metavar="TEXT", default=[""], help="names, or parts of names")
    add("--batches", nargs="+", metavar="N", default=["headline", "1", "32"])
    add("--alpha", type=float, metavar="A", default=HEADLINE_ALPHA)
    add("--gpu", default="H200", help="A100, RTX 3090, RTX 4090, H100 or H200")
    add(
        "--vanilla-share",
        type=float,
        metavar="S",
        default=VANILLA_SHARE,
        help="of 790 TFLOP/s that vanilla is assumed to reach (default: %(default).2f)",
    )
    add("--plans", action="store_true", help="the plans in words, too")
    args = parser.parse_args(argv)
    if not all(w in ("headline", "all") or (w.isdecimal() and int(w)) for w in args.batches):
        parser.error(f"--batches must be numbers, headline or all, got {' '.join(args.batches)}")
    if not 0 < args.vanilla_share <= 1:
        parser.error(f"--vanilla-share must be above 0, at most 1, got {args.vanilla_share}")
    if not 0 <= args.alpha <= 1:
        parser.error(f"--alpha must be between 0 and 1, got {args.alpha}")
    return args


if __name__ == "__main__":
    sys.exit(main())
