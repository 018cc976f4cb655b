"""The device report as Markdown; everything shown is read or computed from its JSON."""

from collections.abc import Iterator
from statistics import geometric_mean
from typing import Any, NamedTuple

from .layer_list import HEADLINE_ALPHA
from .report import Line, contenders_of, kernel_times, lines, markdown_table

__all__ = ["Mean", "geometric_means", "markdown"]

Record = dict[str, Any]
# Goals, not results: geometric means over the layers by dtype, mode and batch, on an H200.
GOALS = {("bfloat16", "forward", "headline"): 1.3}


class Mean(NamedTuple):
    """Geometric means of speed-ups over vanilla, over the layers of a group.

    Attributes:
        group: dtype, mode and batch ("headline": each layer's own).
        layers: Of how many layers vanilla was timed.
        speedups: By contender: of the timed medians, and over how many layers.
        wall: The same of wall times beside kernel times; empty without them.
        roofline: If all took their shortest possible time.
    """

    group: tuple[str, str, str]
    layers: int
    speedups: dict[str, tuple[float, int]]
    wall: dict[str, tuple[float, int]]
    roofline: float


def markdown(report: Record) -> str:
    """The whole report."""
    blocks = [*_head(report), *_stages(report["stages"])]
    for stage in report["stages"]:
        if stage.get("result", {}).get("rows"):
            blocks += _layers(stage)
    return "\n\n".join(blocks) + "\n"


def geometric_means(result: Record) -> list[Mean]:
    """Of a layer result at the headline alpha, a group for each dtype, mode and batch."""
    headline = result["settings"]["batches"] == ["headline"]
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines(result):
        row = line.row
        if row["alpha"] == HEADLINE_ALPHA and line.speedup:
            batch = "headline" if headline else str(row["batch"])
            groups.setdefault((row["dtype"], row["mode"], batch), []).append(line)
    means = []
    for group, members in groups.items():
        of_layer = {line.row["layer"]: line.roofline_speedup for line in members}
        speedups, wall = {}, {}
        for name in contenders_of(line.row["contender"] for line in members):
            own = [line for line in members if line.row["contender"] == name]
            if own:
                speedups[name] = geometric_mean([line.speedup for line in own]), len(own)
            if own and own[0].wall_speedup:
                wall[name] = geometric_mean([line.wall_speedup for line in own]), len(own)
        means.append(Mean(group, len(of_layer), speedups, wall, geometric_mean(of_layer.values())))
    return means


def _head(report: Record) -> Iterator[str]:
    machine, library = report["machine"], report["library"]
    if report["rehearsal"]:
        yield f"# Rehearsal of the device report: {machine['device']}"
        yield "Run on a CPU and on tiny cases to try the command. **It says nothing about a GPU.**"
    else:
        yield f"# Device report: {machine['device']}"
    facts = {name: machine[name] for name in ("date", "commit", "torch", "cuda", "cudnn")}
    facts |= {name: machine[name] for name in ("driver", "python")}
    kernels = f"{library['archs']} by nvcc {library['nvcc']}" if library["nvcc"] else "none"
    facts["octconv_cuda"] = (
        f"{library['version']} of sources {machine['library']}, built against torch "
        f"{library['torch']}"
    )
    facts["CUDA kernels"] = kernels
    facts["native CUDA operators"] = ", ".join(library["native"]["cuda"]) or "none"
    facts["time"] = f"{report['seconds']:g} s of {report['budget_s']:g} s"
    shown = {name: "unknown" if fact is None else fact for name, fact in facts.items()}
    yield markdown_table(["", ""], shown.items(), texts=2)


def _stages(stages: list[Record]) -> Iterator[str]:
    yield "## Stages"
    rows = [[s["name"], s["status"], f"{s['seconds']:.0f}", _summary(s)] for s in stages]
    yield markdown_table(["stage", "status", "seconds", ""], rows, texts=4)
    for stage in stages:
        if "\n" in stage["detail"]:
            yield f"{stage['name']}, the end of its output:"
            yield f"```\n{stage['detail']}\n```"
        if remarks := stage.get("remarks"):
            yield "\n".join(f"- {stage['name']}: {text}" for text in remarks)


def _summary(stage: Record) -> str:
    """One line: what was counted, else why the stage did not pass."""
    parts = []
    if tests := stage.get("tests"):
        parts.append(f"{tests['passed']} passed, {tests['skipped']} skipped")
        parts.append(f"{len(tests['failed'])} failed")
    if "summary" in stage:
        parts.append(stage["summary"])
    if rows := stage.get("result", {}).get("rows"):
        parts.append(f"{len(rows)} rows")
    if "remarks" in stage:
        parts.append(f"{len(stage['remarks'])} not timed, see below")
    if stage.get("problem"):
        parts.append(stage["problem"])
    if not parts and stage["detail"]:
        parts.append(stage["detail"].splitlines()[-1])
    return ", ".join(parts)


def _layers(stage: Record) -> Iterator[str]:
    yield f"## {stage['name']}"
    yield _conditions(stage["result"])
    if means := geometric_means(stage["result"]):
        yield _mean_table(means)
    yield _layer_table(stage["result"])


def _conditions(result: Record) -> str:
    """How it was measured, in words."""
    settings, ceilings = result["settings"], result["ceilings"]
    bias = "with bias" if settings["bias"] else "without bias"
    search = "on" if settings["cudnn_benchmark"] else "off"
    times = "of the GPU's kernels with a cold L2 cache; 'wall' is with the host's time"
    if not kernel_times(result):
        times = "wall times on a CPU"
    rates = [f"{rate / 1e12:.3g} TFLOP/s ({t})" for t, rate in ceilings["flops_per_second"].items()]
    rates.append(f"{ceilings['bytes_per_second'] / 1e12:.3g} TB/s")
    empty = result.get("empty_us")
    events = f" Events with nothing between them are {empty:.1f} us apart." if empty else ""
    return (
        f"Speed-ups over nn.Conv2d at alpha {HEADLINE_ALPHA}. Times are {times}: medians of "
        f"{settings['samples']} samples, in which the contenders take turns.{events} "
        f"Random normal data, {settings['memory_format']}, {bias}; cuDNN's search for algorithms "
        f"is {search} for all. "
        f"The roofline is of {', '.join(rates)}, measured just before."
    )


def _mean_table(means: list[Mean]) -> str:
    names = contenders_of(name for mean in means for name in mean.speedups)
    walls = contenders_of(name for mean in means for name in mean.wall)
    heads = ["geometric mean", "batch", "layers", *names, *(f"{name}, wall" for name in walls)]
    rows = []
    for mean in means:
        cells = [_of(mean.speedups.get(name), mean.layers) for name in names]
        cells += [_of(mean.wall.get(name), mean.layers) for name in walls]
        dtype, mode, batch = mean.group
        goal = GOALS.get(mean.group)
        cells += [f"{mean.roofline:.2f}x", f"{goal}x" if goal else ""]
        rows.append([f"{dtype}, {mode}", batch, str(mean.layers), *cells])
    return markdown_table([*heads, "roofline", "goal"], rows, texts=2)


def _of(mean: tuple[float, int] | None, layers: int) -> str:
    """A mean that is not over all layers says so."""
    if mean is None:
        return ""
    value, count = mean
    return f"{value:.2f}x" + (f" (of {count})" if count < layers else "")


def _layer_table(result: Record) -> str:
    gpu = kernel_times(result)
    groups: dict[tuple[str, ...], dict[str, Line]] = {}
    for line in lines(result):
        key = tuple(str(line.row[name]) for name in ("layer", "dtype", "mode", "batch"))
        groups.setdefault(key, {})[line.row["contender"]] = line
    names = contenders_of(name for group in groups.values() for name in group)
    heads = ["layer", "dtype, mode", "batch", "vanilla, us", "octconv_cuda, us (p20 to p80)"]
    heads += [*names, "roofline", "octconv_cuda of roofline"]
    if gpu:
        heads += ["octconv_cuda, memory", *(f"{name}, wall" for name in names)]
    servers = [name for name in names if name.startswith("octconv_cuda")]
    heads += [f"{name} served by" for name in servers]
    rows = []
    for (layer, dtype, mode, batch), group in groups.items():
        vanilla, own = group.get("vanilla"), group.get("octconv_cuda")
        cells = [layer, f"{dtype}, {mode}", batch]
        cells.append(f"{vanilla.row['median_us']:.1f}" if vanilla else "")
        cells.append(_median(own.row) if own else "")
        cells += [_ratio(group[name].speedup) if name in group else "" for name in names]
        cells.append(_ratio(own.roofline_speedup) if own else "")
        cells.append(f"{own.roofline:.0%}" if own else "")
        if gpu:
            cells.append(_memory(own, vanilla))
            cells += [_ratio(group[name].wall_speedup) if name in group else "" for name in names]
        cells += [group[name].row["kernel"] if name in group else "" for name in servers]
        rows.append(cells)
    return markdown_table(heads, rows, texts=2)


def _memory(own: Line | None, vanilla: Line | None) -> str:
    """What a call allocates at most, over what vanilla does."""
    if own is None or vanilla is None or not vanilla.row["peak_bytes"]:
        return ""
    return f"{own.row['peak_bytes'] / vanilla.row['peak_bytes']:.2f}x"


def _median(row: Record) -> str:
    return f"{row['median_us']:.1f} ({row['p20_us']:.1f} to {row['p80_us']:.1f})"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"
