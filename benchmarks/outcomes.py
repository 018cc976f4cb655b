"""A plugin of pytest's that writes outcomes as they come: what is killed leaves those before.

Into the file that the environment variable OUTCOMES names, a line of JSON for each test: its name,
"passed", "skipped" or "failed", and why it was skipped.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

__all__ = ["OUTCOMES", "facts_of", "pytest_configure"]

OUTCOMES = "OCTCONV_CUDA_OUTCOMES"


def pytest_configure(config: pytest.Config) -> None:
    """Called by pytest; of processes that share the tests, the one that they report to writes."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Writer(Path(os.environ[OUTCOMES])))


class _Writer:
    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.passed and report.when != "call":
            return
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        with self.path.open("a") as file:
            file.write(json.dumps([report.nodeid, report.outcome, why]) + "\n")


def facts_of(path: Path) -> dict[str, Any]:
    """Counts and the names of what failed; nothing where no test has come to its end."""
    if not path.exists():
        return {}
    outcomes: dict[str, str] = {}
    unseen = 0  # tests that say that there is no GPU
    for name, outcome, why in map(json.loads, path.read_text().splitlines()):
        unseen += "no CUDA device" in why
        if outcomes.get(name) != "failed":  # as a test may have, and then again behind its end
            outcomes[name] = outcome
    count = Counter(outcomes.values())
    failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
    facts = {"passed": count["passed"], "skipped": count["skipped"], "failed": failed}
    seen = count["passed"] > unseen
    problem = "" if seen else "no more tests passed than were skipped for want of a GPU"
    return {"tests": facts, "problem": problem}
