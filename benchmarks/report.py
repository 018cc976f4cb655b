"""Tables and pictures of a result file; everything shown is computed from its JSON."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

__all__ = [
    "STYLES",
    "Line",
    "commit_text",
    "contenders_of",
    "device_text",
    "draw",
    "kernel_times",
    "lines",
    "machine_text",
    "markdown",
    "markdown_table",
    "summary",
    "table",
]

Result = dict[str, Any]
Row = dict[str, Any]
# Colours that stay apart for colour-blind readers (Okabe and Ito).
STYLES = {
    "octconv_cuda": {"color": "#d55e00", "marker": "o"},
    "octconv_cuda_trial": {"color": "#cc79a7", "marker": "P"},
    "composed_compiled": {"color": "#0072b2", "marker": "s"},
    "composed": {"color": "#009e73", "marker": "^"},
}
COLUMNS = 4


class Line(NamedTuple):
    """A row with what it means: each a plain ratio, None where vanilla was not timed.

    Attributes:
        row: The row of the result file.
        speedup: Time of vanilla / time of the row, in the same interleaved group.
        flop_ceiling: Operations of vanilla / operations of the row.
        roofline: Shortest possible time by the measured ceilings / time of the row.
        roofline_speedup: The speed-up if both took their shortest possible time.
        wall_speedup: Of the wall times that stand beside kernel times, None without them.
    """

    row: Row
    speedup: float | None
    flop_ceiling: float | None
    roofline: float
    roofline_speedup: float | None
    wall_speedup: float | None


def lines(result: Result) -> Iterator[Line]:
    """The rows of a result in their order, each beside the vanilla row of its group."""
    rows = result["rows"]
    vanilla = {_group(row): row for row in rows if row["contender"] == "vanilla"}
    for row in rows:
        base = vanilla.get(_group(row))
        shortest = _roofline_us(row, result["ceilings"])
        yield Line(
            row,
            base and base["median_us"] / row["median_us"],
            base and base["flops"] / row["flops"],
            shortest / row["median_us"],
            base and _roofline_us(base, result["ceilings"]) / shortest,
            base["wall_us"] / row["wall_us"] if base and row["wall_us"] else None,
        )


def contenders_of(names: Iterable[str]) -> list[str]:
    """Those beside vanilla, once each: in the order of STYLES, parts of what is on trial behind."""
    found = dict.fromkeys(names)
    known = [name for name in STYLES if name in found]
    return known + [name for name in found if name not in STYLES and name != "vanilla"]


def table(result: Result) -> Table:
    """One line per row of the result, for the terminal."""
    constant, varying = _settings(result)
    view = Table(title=f"{machine_text(result)}\n{constant}", title_justify="left", box=SIMPLE_HEAD)
    kernels = kernel_times(result)
    shared = ("layer", "batch", *varying)
    for name in (*shared, "alpha", "contender"):
        view.add_column(name, overflow="fold")
    for name in ("median us", "speed-up", "of FLOP\nceiling", "of\nroofline"):
        view.add_column(name, justify="right")
    for name in ("wall us", "wall\nspeed-up") * kernels:
        view.add_column(name, justify="right")
    group = None
    for line in lines(result):
        row = line.row
        if first := group != _group(row):
            view.add_section()
            group = _group(row)
        view.add_row(
            *(str(row[name]) if first else "" for name in shared),
            f"{row['alpha']:g}",
            row["contender"],
            f"{row['median_us']:.1f}",
            f"{line.speedup:.2f}x" if line.speedup else "",
            f"{line.speedup / line.flop_ceiling:.0%}" if line.speedup and line.flop_ceiling else "",
            f"{line.roofline:.0%}",
            *[f"{row['wall_us']:.1f}" if kernels else ""] * kernels,
            *[f"{line.wall_speedup:.2f}x" if line.wall_speedup else ""] * kernels,
            style="bold" if row["contender"] == "octconv_cuda" else None,
        )
    return view


def markdown(result: Result, alpha: float) -> str:
    """Speed-ups over vanilla at one alpha: a line per layer, a column per contender."""
    rows = result["rows"]
    constant, varying = _settings(result)
    names = contenders_of(row["contender"] for row in rows)
    heads = ["layer", "batch", *varying, "vanilla, us", *names, "FLOP ceiling"]
    body = []
    groups: dict[tuple[object, ...], dict[str, Line]] = {}
    for line in lines(result):
        if line.row["alpha"] in (0, alpha):
            groups.setdefault(_group(line.row), {})[line.row["contender"]] = line
    for by_name in groups.values():
        base = by_name.pop("vanilla", None)
        if base is None or not by_name:
            continue
        ceiling = next(iter(by_name.values())).flop_ceiling
        cells = [base.row[name] for name in ("layer", "batch", *varying)]
        cells.append(f"{base.row['median_us']:.0f}")
        cells += [f"{by_name[n].speedup:.2f}x" if n in by_name else "" for n in names]
        body.append([*cells, f"{ceiling:.2f}x"])
    title = f"{machine_text(result)}, {commit_text(result)}; {constant}; alpha {alpha}"
    return f"{title}\n\n{markdown_table(heads, body, texts=2 + len(varying))}"


def summary(results: Mapping[str, Result], alpha: float) -> str:
    """Speed-ups of octconv_cuda at one alpha: a line for each mode of each result, by its name."""
    heads = ["result", "machine", "settings", "mode", "layers", "batch", "mean", "3x3", "1x1"]
    heads += ["range", "wall, mean", "over composed"]
    title = (
        f"Layers at alpha {alpha}: speed-up of octconv_cuda over PyTorch's vanilla convolution, "
        "and over the composition of PyTorch's operators, run eagerly, or the faster of that and "
        "compiled, measured beside it. Means are geometric, over all layers and over "
        "those with such windows. Kernel time, on GPUs, is without the host's and with a cold L2 "
        "cache; wall time, the only one on CPUs, with the host's and warm caches."
    )
    rows = []
    for name, result in results.items():
        settings, _ = _settings(result, ("dtype",))
        _, varying = _settings(result, ("dtype", "input"))
        of_mode: dict[str, list[tuple[Line, Line | None]]] = {}
        at_alpha = [line for line in lines(result) if line.row["alpha"] == alpha and line.speedup]
        composed: dict[tuple[object, ...], Line] = {}
        for line in sorted(at_alpha, key=lambda line: -line.row["median_us"]):
            if line.row["contender"].startswith("composed"):
                composed[_group(line.row)] = line  # of several the fastest
        for line in at_alpha:
            if line.row["contender"] == "octconv_cuda":
                pair = (line, composed.get(_group(line.row)))
                mode = ", ".join([line.row["mode"], *(line.row[name] for name in varying)])
                of_mode.setdefault(mode, []).append(pair)
        for mode, pairs in of_mode.items():
            batches = sorted({line.row["batch"] for line, _ in pairs})
            ours = [line.speedup or 0 for line, _ in pairs]
            walls = [line.wall_speedup for line, _ in pairs if line.wall_speedup]
            over = [(line.speedup or 0) / (c.speedup or 1) for line, c in pairs if c]
            compiled = any(row["contender"] == "composed_compiled" for row in result["rows"])
            cells = [name, device_text(result), settings, mode, len(pairs)]
            cells.append(" to ".join(map(str, dict.fromkeys((batches[0], batches[-1])))))
            of_kind = [
                [line.speedup or 0 for line, _ in pairs if kind in line.row["layer"]]
                for kind in ("3x3", "1x1")
            ]
            cells += [_mean(x) for x in (ours, *of_kind)]
            cells += [f"{min(ours):.2f} to {max(ours):.2f}", _mean(walls)]
            cells.append(_mean(over) + (", faster of 2" if compiled else ", eager") * bool(over))
            rows.append(cells)
    return f"{title}\n\n{markdown_table(heads, rows, texts=4)}"


def _mean(ratios: Sequence[float]) -> str:
    return f"{geometric_mean(ratios):.2f}x" if ratios else ""


def markdown_table(heads: Iterable[str], rows: Iterable[Iterable[object]], *, texts: int) -> str:
    """In Markdown; after so many columns of text the others are numbers."""
    heads = list(heads)
    rule = "|---" * texts + "|--:" * (len(heads) - texts) + "|"
    escaped = ([str(cell).replace("|", "\\|") for cell in row] for row in rows)
    head, *body = ("| " + " | ".join(row) + " |" for row in (heads, *escaped))
    return "\n".join([head, rule, *body])


def draw(result: Result, path: Path) -> None:
    """Speed-up over vanilla against alpha: a panel per layer, a line per contender.

    Bars go from p20 to p80. Hollow diamonds are measured on feature maps of a photograph.
    """
    panels: dict[tuple[object, ...], list[Line]] = {}
    for line in lines(result):
        if line.speedup:
            panels.setdefault(_group(line.row)[:-1], []).append(line)
    if not panels:
        return
    constant, varying = _settings(result)
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(3.6 * columns, 3.4 * rows + 1.1),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, panel in zip(grid.flat, panels.values(), strict=False):
        first = panel[0].row
        settings = [f"batch {first['batch']}"]
        settings += [str(first[name]) for name in varying if name != "input"]
        axes.set_title(f"{first['layer']}\n{', '.join(settings)}", fontsize=10)
        alphas = np.linspace(0, max(line.row["alpha"] for line in panel) + 0.05)
        ceiling = 1 / (1 - 0.75 * alphas * (2 - alphas))
        axes.plot(alphas, ceiling, "k--", linewidth=1, label="FLOP ceiling")
        axes.axhline(1, color="0.6", linewidth=1, label="vanilla")
        for i, name in enumerate(contenders_of(row["contender"] for row in result["rows"])):
            style = STYLES.get(name, {"color": f"C{i}", "marker": "x"})
            _draw_contender(axes, panel, name, style)
        axes.set_xlabel("alpha")
        axes.grid(alpha=0.3)
    for axes in grid[:, 0]:
        axes.set_ylabel("speed-up over vanilla")
    figure.suptitle(f"{machine_text(result)}\n{constant}", fontsize=10)
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=min(len(handles), 3 * columns // 2),
        fontsize=9,
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_contender(axes: Any, panel: list[Line], name: str, style: dict[str, str]) -> None:
    for kind in ("noise", "photo"):
        points = sorted(
            (line for line in panel if line.row["contender"] == name and line.row["input"] == kind),
            key=lambda line: line.row["alpha"],
        )
        if not points:
            continue
        x = [line.row["alpha"] for line in points]
        y = np.array([line.speedup for line in points], dtype=float)
        median = np.array([line.row["median_us"] for line in points])
        slow = y - y * median / [line.row["p80_us"] for line in points]
        fast = y * median / [line.row["p20_us"] for line in points] - y
        look: dict[str, Any] = (
            {**style, "linestyle": "-", "label": name}
            if kind == "noise"
            else {"color": style["color"], "marker": "D", "linestyle": "", "fillstyle": "none"}
        )
        axes.errorbar(x, y, yerr=[slow, fast], markersize=5, linewidth=1.5, capsize=2, **look)


def _group(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in ("layer", "batch", "dtype", "mode", "input"))


def _roofline_us(row: Row, ceilings: dict[str, Any]) -> float:
    compute = row["flops"] / ceilings["flops_per_second"][row["dtype"]]
    return 1e6 * float(max(compute, row["bytes"] / ceilings["bytes_per_second"]))


def _settings(
    result: Result, names: tuple[str, ...] = ("dtype", "mode", "input")
) -> tuple[str, list[str]]:
    """The settings that all rows share, as text, and the names of those that vary."""
    rows = result["rows"]
    varying = [name for name in names if len({row[name] for row in rows}) > 1]
    shared = [str(rows[0][name]) for name in names if name not in varying]
    if "settings" in result:  # older files have none, and their layers a bias
        shared.append("bias" if result["settings"]["bias"] else "no bias")
        family = result["settings"].get("family")
        shared += [f"family {family}"] * bool(family)
        trial = result["settings"].get("trial")
        shared += [f"OCTCONV_CUDA_TRIAL={trial}"] * bool(trial)
        unsearched = kernel_times(result) and not result["settings"]["cudnn_benchmark"]
        shared += ["cuDNN's heuristics"] * unsearched
    return ", ".join(shared + ["kernel time"] * kernel_times(result)), varying


def kernel_times(result: Result) -> bool:
    """Whether the times are those of a GPU's kernels, with wall times beside them."""
    return result["rows"][0]["wall_us"] is not None


def machine_text(result: Result) -> str:
    """The device, its threads, the torch and the date of a result."""
    machine = result["machine"]
    return f"{device_text(result)}, torch {machine['torch']}, {machine['date'][:10]}"


def commit_text(result: Result) -> str:
    """The commit of a result, short, and whether there were changes beside it."""
    commit, dirty, _ = (result["machine"]["commit"] or "unknown").partition("-dirty")
    return f"commit {commit[:7]}{dirty}"


def device_text(result: Result) -> str:
    """The device of a result, by its processor, too, where the file has it, and its threads."""
    machine = result["machine"]
    processor = machine.get("processor")
    device = f"{machine['device']} ({processor})" if processor else machine["device"]
    return f"{device}, {machine['threads']} thread" + "s" * (machine["threads"] != 1)
