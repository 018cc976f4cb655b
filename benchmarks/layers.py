"""Races OctConv2d against vanilla convolution and the composed octave layer, layer by layer.

``python -m benchmarks.layers --quick`` takes under two minutes; ``--help`` lists the rest. Results
go to benchmarks/results/<machine>/ as JSON with a picture beside it. Exit code 1: a contender
computed a wrong result, or raised.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.progress import Progress

from octconv_cuda import split_channels

from . import report
from .contenders import BUILDERS, MODES, trials_of_contender
from .files import RESULTS, json_path, write_json
from .gpu import gpu_of
from .harness import Case, Outcome, run_case
from .inputs import INPUTS
from .layer_list import ALPHAS, HEADLINE_ALPHA, LAYERS, batch_word
from .machine import DTYPES, asked_trials, describe, measure_ceilings, slug, stale_library
from .timing import empty_us

__all__ = ["main"]

QUICK = {
    "layers": ["resnet 3x3 56", "resnet 1x1 56 expand", "unet 3x3 64"],
    "batches": ["1"],
    "threads": 1,  # what other work on the machine disturbs least
    "min_time": 0.3,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit code."""
    # The table needs its room also where the output is not a terminal.
    console = Console(width=None if sys.stdout.isatty() else 120)
    args = _parse(argv)
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    settings = {
        "cudnn_benchmark": True,
        "cold_l2": device.type == "cuda",
        "memory_format": "channels_last",
        "bias": args.bias,
        "batches": args.batches,
        "samples": args.samples,
        "min_time_s": args.min_time,
        "family": os.environ.get("OCTCONV_CUDA_FAMILY", ""),
        "trial": args.trial,
    }
    machine = describe(device)
    if warning := stale_library(machine):
        console.print(warning, style="yellow", markup=False, soft_wrap=True)
    cases = _cases(args)
    total = Outcome([], [], [])
    out = args.out or (
        RESULTS / slug(str(machine["device"])) / ("quick.json" if args.quick else "layers.json")
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with Progress(console=console) as progress:
        task = progress.add_task(
            "ceilings", total=sum(len(c.entries) * args.samples for c in cases)
        )
        result = {
            "machine": machine,
            "settings": settings,
            "ceilings": measure_ceilings(device, args.dtypes),
            "empty_us": empty_us(gpu_of(device)),
            "rows": total.rows,
        }
        done = 0
        for case in cases:
            progress.update(task, description=str(case))
            try:
                outcome = run_case(
                    case, device, args.samples, args.min_time, lambda: progress.advance(task)
                )
            except RuntimeError as error:  # of one case, for want of memory, say; others go on
                outcome = Outcome([], [f"{case}: {type(error).__name__}: {error}"], [])
            total.rows.extend(outcome.rows)
            total.refused.extend(outcome.refused)
            total.skipped.extend(outcome.skipped)
            if total.rows:  # after each case, so that an interruption loses only one
                write_json(out, result)
            done += len(case.entries) * args.samples  # what was refused is done too
            progress.update(task, completed=done)
    if total.rows:
        report.draw(result, out.with_suffix(".png"))
        console.print(report.table(result))
        console.print(f"Wrote {out} and {out.with_suffix('.png')}", soft_wrap=True)
    for text in total.skipped:
        console.print(f"not timed: {text}", style="yellow", markup=False, soft_wrap=True)
    for text in total.refused:
        console.print(f"refused: {text}", style="red", markup=False, soft_wrap=True)
    return 1 if total.refused else 0


def _cases(args: argparse.Namespace) -> list[Case]:
    cases = []
    for layer in LAYERS:
        if layer.name not in args.layers:
            continue
        for batch, dtype, mode, kind in itertools.product(
            layer.batches_of(args.batches), args.dtypes, args.modes, args.inputs
        ):
            entries = _entries(args, args.alphas)
            cases.append(Case(layer, batch, dtype, mode, kind, entries, args.bias))
    if args.quick:
        # Real data too, where a wrong result or another timing would show: one layer is enough.
        cases.append(cases[0]._replace(input="photo", entries=_entries(args, [HEADLINE_ALPHA])))
    return cases


def _entries(args: argparse.Namespace, alphas: Sequence[float]) -> tuple[tuple[str, float], ...]:
    entries = [("vanilla", 0.0)]
    for alpha in alphas:
        for name in args.contenders:
            # Compiling takes most of the time of a quick run.
            compiled_too = not args.quick or alpha == HEADLINE_ALPHA
            if name != "vanilla" and (name != "composed_compiled" or compiled_too):
                entries.append((name, alpha))
    return tuple(entries)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__)
    cuda = torch.cuda.is_available()
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="three layers, batch 1, one thread; other options count",
    )
    add("--device", choices=("cpu", "cuda"), default="cuda" if cuda else "cpu")
    add("--dtype", dest="dtypes", nargs="+", choices=tuple(DTYPES))
    add("--layers", nargs="+", metavar="TEXT", default=[""], help="names, or parts of names")
    add(
        "--batches",
        nargs="+",
        type=batch_word,
        metavar="N",
        default=["headline"],
        help="numbers, headline or all",
    )
    add("--alphas", nargs="+", type=float, metavar="A", default=list(ALPHAS), help="0 < A < 1")
    add("--mode", dest="modes", nargs="+", choices=MODES, default=["forward"])
    add("--bias", action="store_true", help="layers with a bias")
    add("--input", dest="inputs", nargs="+", choices=INPUTS, default=["noise"])
    add(
        "--contenders",
        nargs="+",
        choices=tuple(BUILDERS),
        metavar="NAME",
        default=[name for name in BUILDERS if not trials_of_contender(name)],
        help=f"beside vanilla: {', '.join(list(BUILDERS)[1:])}; those on trial, on a GPU alone, "
        "are not among the default",
    )
    add("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    add("--samples", type=int, default=25, help="samples of each contender")
    add("--min-time", type=float, default=0.5, metavar="S", help="seconds they last together")
    add(
        "--out",
        type=json_path,
        help="JSON file (default: results/<machine>/layers.json or quick.json)",
    )
    if parser.parse_known_args(argv)[0].quick:
        parser.set_defaults(**QUICK)
    args = parser.parse_args(argv)

    for name in ("dtypes", "alphas", "modes", "inputs"):  # nothing is timed twice
        setattr(args, name, list(dict.fromkeys(getattr(args, name) or [])))
    args.dtypes = args.dtypes or ["bfloat16" if args.device == "cuda" else "float32"]
    if args.device == "cuda" and not cuda:
        parser.error("--device cuda: this PyTorch sees no GPU")
    try:
        args.trial = asked_trials()
    except ValueError as error:
        parser.error(str(error))
    if "tf32" in args.dtypes and args.device != "cuda":
        parser.error("--dtype tf32 needs --device cuda")
    for name in filter(trials_of_contender, args.contenders):
        if args.device != "cuda":
            parser.error(f"--contenders {name} needs --device cuda")
        if args.trial:
            parser.error(f"--contenders {name} is beside the default: unset OCTCONV_CUDA_TRIAL")
    wanted = [text.lower() for text in args.layers]
    args.layers = [layer.name for layer in LAYERS if any(t in layer.name for t in wanted)]
    if not args.layers:
        parser.error(f"--layers: none of {', '.join(layer.name for layer in LAYERS)}")
    if not all(0 < alpha < 1 for alpha in args.alphas):
        parser.error(f"--alphas must be between 0 and 1, got {args.alphas}")
    for layer in (layer for layer in LAYERS if layer.name in args.layers):
        for channels, alpha in itertools.product(
            (layer.in_channels, layer.out_channels), args.alphas
        ):
            if not split_channels(channels, alpha)[1]:
                parser.error(f"--alphas: {alpha} leaves {layer.name} a part without channels")
    if args.samples < 1 or args.threads < 1 or args.min_time < 0:
        parser.error("--samples and --threads must be positive, --min-time not negative")
    return args


if __name__ == "__main__":
    sys.exit(main())
