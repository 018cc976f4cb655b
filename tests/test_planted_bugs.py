"""The emulation judges the kernels where there is no GPU; planted bugs judge the emulation."""

import re
from collections.abc import Callable

import numpy as np
import planted_table
import pytest
from emulation.emulator import RUNS, Emulator
from emulators import ASAN, PLAIN, TSAN
from planted_bugs import BUGS, COLUMNS, KERNELS, NAN, PLAIN_RUNS, RACE, WRONG, Bug
from planted_reports import THREAD, columns_of, is_one_of, report, summary

Get = Callable[[str], Emulator]

MORE_SEEDS = [run for runs in PLAIN_RUNS.values() for run in runs[5:7] if run.schedule != "order"]
in_each_mode = pytest.mark.parametrize("mode", [PLAIN, ASAN, TSAN])
each_bug = pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])


def lines_named(text: str) -> list[tuple[str, str]]:
    """The instructions that a report names, each with the source line where it says they are."""
    places = re.findall(r"(\w+)(?: at | \()(\w+\.cuh):(\d+)", text)
    return [
        (instruction, (KERNELS / file).read_text().splitlines()[int(line) - 1])
        for instruction, file, line in places
    ]


@pytest.mark.parametrize("mode", [PLAIN])
def test_every_planted_kernel_is_known(emulator_in: Get, mode):
    assert emulator_in(mode)("planted_names") == [bug.name for bug in BUGS]


@in_each_mode
@each_bug
def test_correct_kernel_passes(emulator_in: Get, mode, bug):
    for run in (*RUNS, *MORE_SEEDS[:: 2 if mode == "tsan" else 1]):
        result = emulator_in(mode)("planted", bug.name, False, run=run)
        np.testing.assert_array_equal(result, bug.result, err_msg=str(run))


@in_each_mode
@each_bug
def test_bug_is_reported(emulator_in: Get, mode, bug):
    expected = dict(zip(COLUMNS, bug.seen.split(), strict=True))
    for column, runs in columns_of(bug, mode).items():
        texts = [report(emulator_in(mode), bug, run) for run in runs]
        reports = [text for text in texts if text is not None]
        for text in reports:
            assert is_one_of(text, bug.says), text
            check_place(text, bug)
            if mode == "tsan" and RACE in bug.says:  # a race must not get as far as the result
                assert summary(text) not in (NAN, WRONG)
        if expected[column] == "all":
            assert len(reports) == len(runs), column
        elif expected[column] == "some":
            assert reports, column
        elif expected[column] == "none":
            assert not reports, column


def check_place(text: str, bug: Bug) -> None:
    """A report leads to the place: thread, instruction and line, or the kernel's stack."""
    if summary(text) == RACE:
        assert f"planted::{bug.name}<true>" in text
    for instruction, line in lines_named(text):
        assert re.search(rf"{instruction}[<(]", line)
    named = re.match(rf"{THREAD}(\w+::)?(\w+) at ", text)
    if named and named[2] != "exit":
        assert lines_named(text)[0][0] == named[2]


def test_readme_shows_what_is_tested():
    assert planted_table.disagreements(planted_table.README.read_text()) == []
