"""Table, Markdown and picture of a result of networks; the paper's numbers are labelled as its."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from rich.box import SIMPLE_HEAD
from rich.table import Table

from .report import commit_text, device_text, machine_text, markdown_table

__all__ = ["PAPER", "draw", "markdown", "ratios", "summary", "table"]

Result = dict[str, Any]
Row = dict[str, Any]
# Chen et al. 2019, table 2: ResNet-50, one thread of a Skylake at 2.0 GHz, batch 1, TVM 0.5.
PAPER = {0: (77.0, 115), 0.125: (78.2, 116), 0.25: (78.0, 99), 0.5: (77.3, 74), 0.75: (76.6, 61)}
COLOURS = {
    "eager": "#009e73",
    "fused": "#d55e00",
    "compiled": "#0072b2",
    "fused_compiled": "#cc79a7",
    "graphed": "#56b4e9",
    "fused_graphed": "#e69f00",
}


def ratios(result: Result) -> list[tuple[Row, float | None, float | None]]:
    """Each row with its time and its operations relative to the vanilla twin's beside it."""
    twins = {_group(row): row for row in result["timings"] if row["alpha"] == 0}
    rows = []
    for row in result["timings"]:
        twin = twins.get(_group(row))
        rows.append(
            (
                row,
                twin and row["median_us"] / twin["median_us"],
                twin and row["flops"] / twin["flops"],
            )
        )
    return rows


def table(result: Result) -> Table:
    """One line per row, for the terminal."""
    view = Table(title=machine_text(result), title_justify="left", box=SIMPLE_HEAD)
    for name in ("network", "batch", "mode", "treatment"):
        view.add_column(name)
    for name in ("alpha", "ms", "images/s", "of vanilla", "operations"):
        view.add_column(name, justify="right")
    for row, time, operations in ratios(result):
        view.add_row(
            *(str(row[name]) for name in ("network", "batch", "mode", "treatment")),
            f"{row['alpha']:g}",
            f"{row['median_us'] / 1e3:.1f}",
            f"{row['batch'] / row['median_us'] * 1e6:.1f}",
            f"{time:.2f}" if time else "",
            f"{operations:.2f}" if operations else "",
        )
    return view


def markdown(result: Result) -> str:
    """Time over the vanilla twin's in the same treatment: a line per treatment, alphas across."""
    alphas = sorted({row["alpha"] for row in result["timings"]} - {0})
    heads = ["network", "batch", "mode", "treatment", "vanilla, ms", *map("{:g}".format, alphas)]
    first = result["timings"][0]
    title = (
        f"{machine_text(result)}, {commit_text(result)}; networks at {first['size']} px, "
        f"{first['dtype']}; time over the vanilla twin's, by alpha"
    )
    rows: list[list[object]] = []
    groups: dict[tuple[object, ...], dict[float, tuple[Row, float | None, float | None]]] = {}
    for line in ratios(result):
        groups.setdefault(_group(line[0]), {})[line[0]["alpha"]] = line
    shown = set()
    for lines in groups.values():
        if 0 not in lines:
            continue
        row = lines[0][0]
        shown.add((row["network"], row["variant"]))
        name = f"{row['network']} {row['variant']}".strip()
        cells = [name, row["batch"], row["mode"], row["treatment"], f"{row['median_us'] / 1e3:.1f}"]
        cells += [f"{lines[a][1]:.2f}" if a in lines else "" for a in alphas]
        rows.append(cells)
    operations = {line[0]["alpha"]: line[2] for line in ratios(result)}
    if len(shown) == 1:
        rows.append(["operations", *4 * [""], *(f"{operations[a]:.2f}" for a in alphas)])
    if any(network == "oct_resnet50" for network, _ in shown):
        paper = [f"{PAPER[a][1] / PAPER[0][1]:.2f}" if a in PAPER else "" for a in alphas]
        name = "the paper's ResNet-50, another machine"
        rows.append([name, 1, "inference", "TVM", PAPER[0][1], *paper])
    return f"{title}\n\n{markdown_table(heads, rows, texts=4)}"


def summary(results: Iterable[Result], alpha: float) -> str:
    """Time over the vanilla twin's at one alpha: a line per network, a column per treatment."""
    title = (
        f"Networks at alpha {alpha}: time over that of the vanilla twin in the same treatment, "
        "measured beside it; less than 1 is faster. Wall time, which a CUDA graph (graphed) frees "
        "of the host's. The last column is of the fastest treatment of each."
    )
    rows: dict[tuple[object, ...], dict[str, float]] = {}
    fastest: dict[tuple[object, ...], dict[float, float]] = {}
    for result in results:
        for row, time, _ in ratios(result):
            name = f"{row['network']} {row['variant']}".strip()
            sizes = (row["size"], row["dtype"], row["mode"], row["batch"])
            case = (device_text(result), name, *sizes)
            of_case = fastest.setdefault(case, {})
            least = min(row["median_us"], of_case.get(row["alpha"], math.inf))
            of_case[row["alpha"]] = least
            if row["alpha"] == alpha and time:
                rows.setdefault(case, {})[row["treatment"]] = time
    treatments = [t for t in COLOURS if any(t in times for times in rows.values())]
    heads = ["machine", "network", "pixels", "dtype", "mode", "batch", *treatments, "fastest"]
    body = (
        [
            *case,
            *(f"{times[t]:.2f}" if t in times else "" for t in treatments),
            f"{fastest[case][alpha] / fastest[case][0]:.2f}",
        ]
        for case, times in rows.items()
    )
    return f"{title}\n\n{markdown_table(heads, body, texts=5)}"


def draw(result: Result, path: Path) -> None:
    """Time against alpha, a panel for each network, batch and mode, with the FLOP ceiling.

    Bars go from p20 to p80. Beside ResNet-50 stands the paper's accuracy, and its times.
    """
    panels: dict[tuple[object, ...], list[tuple[Row, float | None, float | None]]] = {}
    for line in ratios(result):
        if line[1] is not None:
            key = tuple(line[0][name] for name in ("network", "variant", "batch", "mode"))
            panels.setdefault(key, []).append(line)
    if not panels:
        return
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(6 * columns, 4.2 * rows + 0.8), squeeze=False, layout="constrained"
    )
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, (key, lines) in zip(grid.flat, panels.items(), strict=False):
        network, variant, batch, mode = key
        axes.set_title(f"{network} {variant}, batch {batch}, {mode}", fontsize=10)
        _draw_panel(axes, lines)
        if network == "oct_resnet50":
            _draw_paper(axes)
        axes.set_xlabel("alpha")
        axes.set_ylabel("time over the vanilla twin's")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower left")
    figure.suptitle(f"{machine_text(result)}; {result['timings'][0]['dtype']}", fontsize=10)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_panel(axes: Any, lines: list[tuple[Row, float | None, float | None]]) -> None:
    ceiling = sorted({row["alpha"]: operations for row, _, operations in lines}.items())
    axes.plot(*zip(*ceiling, strict=True), "k--", linewidth=1, label="operations (the ceiling)")
    for treatment, colour in COLOURS.items():
        points = sorted(
            ((row["alpha"], time, row) for row, time, _ in lines if row["treatment"] == treatment),
            key=lambda point: point[0],
        )
        if not points:
            continue
        x = [alpha for alpha, _, _ in points]
        y = [time for _, time, _ in points]
        spans = [
            [abs(time * row[f"{end}_us"] / row["median_us"] - time) for _, time, row in points]
            for end in ("p20", "p80")
        ]
        axes.errorbar(x, y, yerr=spans, color=colour, marker="o", capsize=2, label=treatment)


def _draw_paper(axes: Any) -> None:
    alphas = list(PAPER)
    times = [PAPER[a][1] / PAPER[0][1] for a in alphas]
    axes.plot(alphas, times, "x", color="0.4", label="the paper's time (TVM, Skylake)")
    accuracy = axes.twinx()
    accuracy.plot(alphas, [PAPER[a][0] for a in alphas], ":", color="0.6", marker="^")
    accuracy.set_ylabel("the paper's top-1 accuracy, % (dotted)", color="0.4")
    accuracy.set_ylim(70, 80)


def _group(row: Row) -> tuple[object, ...]:
    names = ("network", "variant", "batch", "dtype", "mode", "treatment", "size")
    return tuple(row[name] for name in names)
