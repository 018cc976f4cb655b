"""Runs of kernels with a planted bug, and what the emulation says of them."""

import re

import numpy as np
from emulation.emulator import RUNS, EmulationError, Emulator, Run
from planted_bugs import ASYNCHRONOUS, NAN, PLAIN_RUNS, RACE, WRONG, Bug


def sanitizer_runs(bug: Bug) -> tuple[Run, ...]:
    """RUNS, but once what only copies tell apart; a sanitizer's report ends its process."""
    runs = RUNS if bug in ASYNCHRONOUS else [run for run in RUNS if not run.late]
    return tuple(run._replace(count=False) for run in runs)


def columns_of(bug: Bug, mode: str) -> dict[str, tuple[Run, ...]]:
    """The runs behind each column of the table that a mode fills."""
    if mode != "plain":
        return {mode: sanitizer_runs(bug)}
    return {column: tuple(runs) for column, runs in PLAIN_RUNS.items()}


def report(emulator: Emulator, bug: Bug, run: Run) -> str | None:
    """What the emulation says of the broken kernel; None: it gives the right result."""
    try:
        result = emulator("planted", bug.name, True, run=run)
    except EmulationError as error:
        return str(error)
    if np.array_equal(result, bug.result):
        return None
    return NAN if np.isnan(result).any() else WRONG


THREAD = r"block \d+, thread \d+ \(warp \d+, lane \d+\): "


def summary(text: str) -> str:
    """A report without what depends on the schedule and on line numbers."""
    if "WARNING: ThreadSanitizer: data race" in text:
        return RACE
    undefined = re.search("runtime error: (.*)", text)
    if undefined:
        return undefined[1]
    text = re.sub(rf"^{THREAD}([\w:]+) at [\w.]+:\d+: ", r"\1: ", text)
    return re.sub(r" \(\w+\.cuh:\d+\)", "", text)


def is_one_of(text: str, says: tuple[str, ...]) -> bool:
    patterns = (re.escape(pattern).replace(r"\.\.\.", ".*") for pattern in says)
    return any(re.fullmatch(pattern, summary(text)) for pattern in patterns)
