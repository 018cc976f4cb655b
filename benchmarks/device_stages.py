"""The stages of the device report, in the order of their importance, and how each is read."""

import functools
import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from .contenders import MODES, ON_TRIAL, PARTS_ON_TRIAL
from .layer_list import HEADLINE_ALPHA
from .outcomes import OUTCOMES, facts_of
from .stages import Stage

__all__ = ["BUDGET_S", "STAGES", "device_stages", "find_sanitizer", "rehearsal_stages"]

BUDGET_S = 480.0
ALL = ("composed", "composed_compiled", "octconv_cuda")
EAGER = ("composed", "octconv_cuda")  # compiling takes seconds per shape
# An error of a kernel is one of all that its process does behind it: what is on trial has stages
# of its own, beside the defaults that it would replace, and so has each part of it.
TRIAL = ("octconv_cuda", ON_TRIAL)
PARTS = {f"layers-trial-{part.partition(':')[2]}": part for part in PARTS_ON_TRIAL}
# Whatever the caller's environment asks for.
DEFAULT_KERNELS = {"OCTCONV_CUDA_FAMILY": "", "OCTCONV_CUDA_TRIAL": ""}


class _Layers(NamedTuple):
    """What a stage of the layer suite times, at the headline alpha; contenders beside vanilla.

    A family other than "" must serve octconv_cuda's calls, where it covers them.
    """

    limit_s: float
    dtypes: tuple[str, ...]
    batches: tuple[str, ...]
    modes: tuple[str, ...]
    contenders: tuple[str, ...]
    family: str = ""


LAYERS = {
    "layers-bfloat16": _Layers(60, ("bfloat16",), ("headline",), ("forward",), EAGER),
    "layers-trial": _Layers(60, ("bfloat16",), ("headline", "1"), ("forward",), TRIAL),
    "layers-gradients": _Layers(90, ("bfloat16",), ("headline",), MODES[1:], EAGER),
    "layers-trial-gradient": _Layers(60, ("bfloat16",), ("headline", "1"), MODES[1:2], TRIAL),
    **{
        name: _Layers(30, ("bfloat16",), ("headline", "1"), ("forward",), ("octconv_cuda", part))
        for name, part in PARTS.items()
    },
    "layers-float16": _Layers(60, ("float16",), ("headline",), ("forward",), EAGER),
    "layers-tf32": _Layers(60, ("tf32",), ("headline",), ("forward",), EAGER),
    "layers-sm80": _Layers(60, ("bfloat16",), ("headline",), ("forward",), EAGER, "sm80"),
    "layers-bfloat16-small": _Layers(90, ("bfloat16",), ("1", "32"), ("forward",), EAGER),
    "layers-others-small": _Layers(90, ("float16", "tf32"), ("1", "32"), ("forward",), EAGER),
    "layers-compiled": _Layers(150, ("bfloat16",), ("headline",), ("forward",), ALL),
}
# The limits of the first six are three quarters of the budget, so that these have their time.
STAGES = (
    *("known-answers", "small-case", "layers-bfloat16", "tests", "memcheck", "layers-trial"),
    *("layers-gradients", "tests-trial", "layers-trial-gradient", "synccheck", "memcheck-trial"),
    *("synccheck-trial", "layers-tf32", *PARTS, "layers-float16", "layers-sm80", "racecheck"),
    *("layers-bfloat16-small", "layers-others-small", "layers-compiled"),
)


def device_stages(folder: Path) -> list[Stage]:
    """What runs on a GPU; results are left in the folder."""
    # A file of tests is run by one process: its fixtures compile.
    parallel = ("-n", "8", "--dist", "loadfile") if importlib.util.find_spec("xdist") else ()
    # test_memory.py compiles the emulation, and has nothing for a GPU.
    chosen = "(cuda or (test_device_layer and gpu)) and not test_memory"
    tests = ("-k", chosen, *parallel)
    made = (
        _known_answers(),
        _small_case("cuda"),
        _tests("tests", folder, 120, *tests, "-m", "not trial and not tsan"),
        _tests("tests-trial", folder, 60, *tests, "-m", "trial"),
        _checked_by("memcheck"),
        _checked_by("memcheck", trial=True),
        _checked_by("synccheck"),
        _checked_by("synccheck", trial=True),
        # It sees a hazard wherever a warp arrives at a barrier that another waits for, and does not
        # know those that count bytes: results/nvidia-h100-80gb-hbm3/racecheck-barriers.cu.
        _checked_by("racecheck", "--kernel-name-exclude", "kernel_substring=forward_sm"),
        *(_suite(name, folder, layers) for name, layers in LAYERS.items()),
    )
    by_name = {stage.name: stage for stage in made}
    return [by_name[name] for name in STAGES]


def rehearsal_stages(folder: Path) -> list[Stage]:
    """The same on a CPU: tiny, and those without a CPU version say so."""
    cpu = ["--device", "cpu", "--threads", "1", "--layers", "resnet 3x3 14", "--batches", "1"]
    cpu += ["--contenders", *EAGER, "--samples", "3", "--min-time", "0"]
    tiny = (
        _known_answers(),
        _small_case("cpu"),
        _layers(next(iter(LAYERS)), folder, 120, *cpu),
        _tests("tests", folder, 120, "tests/test_known_answers.py"),
    )
    by_name = {stage.name: stage for stage in tiny}
    return [by_name.get(name) or Stage(name, (), 0, "needs a GPU") for name in STAGES]


def find_sanitizer() -> str | None:
    """compute-sanitizer, from the PATH or the CUDA toolkit."""
    toolkit = os.environ.get("CUDA_HOME") or "/usr/local/cuda"
    folders = (os.environ.get("PATH", ""), f"{toolkit}/bin", f"{toolkit}/compute-sanitizer")
    return shutil.which("compute-sanitizer", path=os.pathsep.join(folders))


def _known_answers() -> Stage:
    return Stage("known-answers", (sys.executable, "-m", "octconv_cuda"), 30)


def _small_case(device: str) -> Stage:
    command = (sys.executable, "-m", "benchmarks.small_case", "--device", device)
    return Stage("small-case", command, 30, environment=DEFAULT_KERNELS)


def _tests(name: str, folder: Path, limit_s: float, *selection: str) -> Stage:
    outcomes = folder / f"{name}.jsonl"
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short")
    return Stage(
        name,
        (*command, "-p", "benchmarks.outcomes", *selection),
        limit_s,
        environment={**DEFAULT_KERNELS, OUTCOMES: str(outcomes)},
        facts=lambda _: facts_of(outcomes),
    )


def _checked_by(tool: str, *options: str, trial: bool = False) -> Stage:
    """The small case under a tool of compute-sanitizer, which looks at this library's kernels."""
    sanitizer = find_sanitizer()
    command = (
        sanitizer or "compute-sanitizer", "--tool", tool, "--error-exitcode", "9",
        # PyTorch asks the driver for functions that it need not have: errors, but not of this code.
        "--report-api-errors", "no", "--kernel-name", "kernel_substring=octconv", *options,
        *_small_case("cuda").command,
    )  # fmt: skip
    return Stage(
        tool + "-trial" * trial,
        command,
        60,
        unavailable="" if sanitizer else "absent: compute-sanitizer, on the PATH and in CUDA_HOME",
        # Each tensor an allocation of its own, so that a read behind its end is seen.
        environment={
            "PYTORCH_NO_CUDA_MEMORY_CACHING": "1",
            **DEFAULT_KERNELS,
            **({"OCTCONV_CUDA_TRIAL": "1"} if trial else {}),
        },
        facts=_sanitizer_facts,
    )


def _sanitizer_facts(output: str) -> dict[str, Any]:
    found = re.findall(r"^=+ ((?:RACECHECK|ERROR) SUMMARY: .*)$", output, re.MULTILINE)
    return {"summary": found[-1]} if found else {"problem": "the tool gave no summary"}


def _suite(name: str, folder: Path, layers: _Layers) -> Stage:
    options = ["--dtype", *layers.dtypes, "--batches", *layers.batches, "--mode", *layers.modes]
    options += ["--contenders", *layers.contenders, "--min-time", "0.05"]
    kernels = {**DEFAULT_KERNELS, "OCTCONV_CUDA_FAMILY": layers.family}
    return _layers(name, folder, layers.limit_s, *options, environment=kernels)


def _layers(
    name: str,
    folder: Path,
    limit_s: float,
    *options: str,
    environment: dict[str, str] = DEFAULT_KERNELS,
) -> Stage:
    out = folder / f"{name}.json"
    command = [sys.executable, "-m", "benchmarks.layers", "--out", str(out)]
    command += ["--alphas", str(HEADLINE_ALPHA), *options]
    return Stage(
        name,
        tuple(command),
        limit_s,
        environment=environment,
        facts=functools.partial(_layer_facts, out),
    )


def _layer_facts(out: Path, output: str) -> dict[str, Any]:
    """The rows so far, and what was refused or not timed."""
    texts = re.findall(r"^(?:refused|not timed): .*$", output, re.MULTILINE)
    facts: dict[str, Any] = {"remarks": texts} if texts else {}
    if out.exists():
        facts["result"] = json.loads(out.read_text())
    return facts
