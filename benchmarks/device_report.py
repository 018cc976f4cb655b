"""One command for a GPU machine: checks, tests, compute-sanitizer, and the layer suite.

``python -m benchmarks.device_report`` needs no network and takes at most ``--budget-seconds``. Each
stage is a process of its own with a time limit; one that fails, hangs or cannot run is recorded and
the others go on. After each stage the results so far are written as JSON and Markdown. Without a
GPU, or with ``--rehearse``, tiny versions of the stages run on the CPU, and the report says so.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import octconv_cuda
from octconv_cuda.build import build_info, why_no_kernels
from octconv_cuda.ops import native_kernels

from . import device_markdown
from .device_stages import BUDGET_S, STAGES, device_stages, rehearsal_stages
from .files import RESULTS, json_path, write_json, write_text
from .machine import describe, slug
from .stages import BAD, Stage, not_run, run

__all__ = ["main", "run_all"]

_LEAST_SECONDS = 5.0  # no stage does anything in less
Report = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the stages; returns 1 if one failed or was stopped, or no kernel runs on the GPU."""
    args = _parse(argv)
    console = Console(soft_wrap=True)
    cuda = torch.cuda.is_available()
    rehearsal = args.rehearse or not cuda
    if not cuda:
        console.print("PyTorch sees no GPU: this is a rehearsal on the CPU, without GPU results.")
    if not rehearsal and (why := why_no_kernels(torch.cuda.current_device())):
        console.print(f"There is nothing to report: no kernels run on this GPU: {why}")
        return 1
    machine = describe(torch.device("cpu" if rehearsal else "cuda"))
    out = args.out or RESULTS / slug(str(machine["device"])) / (
        "device-rehearsal.json" if rehearsal else "device-report.json"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    report: Report = {
        "rehearsal": rehearsal,
        "machine": machine,
        "library": {
            "version": octconv_cuda.__version__,
            **build_info()._asdict(),
            "native": {kind: native_kernels(kind) for kind in ("cpu", "cuda")},
        },
        "budget_s": args.budget_seconds,
        "stages": [],
    }
    folder = Path(tempfile.mkdtemp(prefix=f"{out.stem}-", dir=out.parent))
    make = rehearsal_stages if rehearsal else device_stages
    stages = [stage for stage in make(folder) if stage.name in args.stages]
    try:
        run_all(report, stages, out, args.budget_seconds, console)
    except BaseException:
        console.print(f"Stopped; what the stages had written by then is in {folder}")
        raise
    shutil.rmtree(folder)
    console.print(f"Wrote {out}, {out.with_suffix('.md')} and {out.with_suffix('.log')}")
    return int(any(stage["status"] in BAD for stage in report["stages"]))


def run_all(
    report: Report, stages: Sequence[Stage], out: Path, budget_s: float, console: Console
) -> None:
    """Adds a record per stage to the report and writes it after each one.

    Args:
        report: To be completed in place.
        stages: In the order of their importance, since the last ones get the time that is left.
        out: The JSON file; the Markdown and the log lie beside it.
        budget_s: Seconds for all together. More than the usual budget stretches each limit.
        console: Where progress goes.
    """
    start = time.monotonic()
    log = out.with_suffix(".log")
    log.write_text("")
    shown = console.is_terminal
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    for stage in stages:
        left = budget_s - (time.monotonic() - start)
        if stage.unavailable:
            record = not_run(stage, stage.unavailable)
        elif left < _LEAST_SECONDS:
            record = not_run(stage, f"no time left of {budget_s:g} s")
        else:
            limit = min(left, stage.limit_s * max(1.0, budget_s / BUDGET_S))
            view = Progress(*columns, console=console, transient=True, disable=not shown)
            with view as progress:
                progress.add_task(f"{stage.name}, at most {limit:.0f} s")
                record = run(stage, limit, log)
        report["stages"].append(record)
        report["seconds"] = round(time.monotonic() - start, 1)
        write_json(out, report)
        write_text(out.with_suffix(".md"), device_markdown.markdown(report))
        style = "red" if record["status"] in BAD else None
        line = f"{stage.name}: {record['status']}, {record['seconds']} s"
        if record["detail"]:
            line += f"; {record['detail'].splitlines()[-1]}"
        console.print(line, style=style, markup=False, highlight=False)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device_report", description=__doc__)
    add = parser.add_argument
    add("--out", type=json_path, help="JSON file (default: results/<machine>/device-report.json)")
    add("--budget-seconds", type=float, default=BUDGET_S, metavar="S")
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES), metavar="STAGE",
        help=f"of {', '.join(STAGES)}")  # fmt: skip
    add("--rehearse", action="store_true", help="on the CPU, also where a GPU is")
    args = parser.parse_args(argv)
    if args.budget_seconds <= 0:
        parser.error("--budget-seconds must be positive")
    return args


if __name__ == "__main__":
    # Whoever stops this stops the stage that runs, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
