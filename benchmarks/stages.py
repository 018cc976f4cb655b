"""Stages of a longer run: each a process of its own with a time limit and its output in a log.

What a stage does, up to crashing or hanging, does not reach the others.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["BAD", "Stage", "not_run", "run"]

ROOT = Path(__file__).parents[1]
BAD = ("failed", "timed out")
Record = dict[str, Any]
_LAST_LINES = 12


@dataclass(frozen=True)
class Stage:
    """What to run and how to read what came of it.

    Attributes:
        name: One word.
        command: Program and arguments.
        limit_s: Seconds after which it is stopped.
        unavailable: Why it cannot run here; empty if it can.
        environment: What its environment has beside this process's own.
        facts: Given its output, what belongs into its record. A "problem" among them makes it fail
            whatever its exit code. Called after a time limit too.
    """

    name: str
    command: tuple[str, ...]
    limit_s: float
    unavailable: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    facts: Callable[[str], Record] = lambda output: {}


def run(stage: Stage, limit_s: float, log: Path) -> Record:
    """Runs a stage; never raises for what happens in it.

    Args:
        stage: What to run, in the root of the project.
        limit_s: Seconds it may take; its whole process group is killed then.
        log: File that its output is appended to while it runs.

    Returns:
        Its record: name, status ("passed", "failed" or "timed out"), seconds, command, detail (why
        not passed), and its facts.
    """
    start = time.monotonic()
    with log.open("ab") as stream:
        stream.write(f"\n=== {stage.name}: {_shown(stage.command)}\n".encode())
        stream.flush()
        begin = stream.tell()
        try:
            code = _wait(stage, limit_s, stream.fileno())
            output = ""
        except OSError as error:
            code, output = -1, str(error)
    seconds = time.monotonic() - start
    output += log.read_bytes()[begin:].decode(errors="replace")
    try:
        facts = stage.facts(output)
    except Exception as error:  # of a process that was killed, anything may be left
        facts = {"problem": f"unreadable result: {type(error).__name__}: {error}"}
    problem = facts.pop("problem", "")
    if code is not None and code < 0:
        problem = f"ended by signal {-code}"
    status = "timed out" if code is None else "failed" if code or problem else "passed"
    record = _record(stage, status, seconds)
    if status in BAD:
        last = "\n".join(output.strip().splitlines()[-_LAST_LINES:])
        record["detail"] = "\n".join(text for text in (problem, last) if text)
        record["problem"] = problem
    return {**record, **facts}


def not_run(stage: Stage, why: str) -> Record:
    """The record of a stage that was left out."""
    return {**_record(stage, "not run", 0.0), "detail": why}


def _record(stage: Stage, status: str, seconds: float) -> Record:
    return {
        "name": stage.name,
        "status": status,
        "seconds": round(seconds, 1),
        "command": _shown(stage.command),
        "detail": "",
    }


def _wait(stage: Stage, limit_s: float, output: int) -> int | None:
    """The exit code; None after the time limit."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **stage.environment}
    process = subprocess.Popen(
        stage.command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )
    try:
        return process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:  # also when this process is interrupted
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _shown(command: tuple[str, ...]) -> str:
    """The command as a reader would type it, without this machine's folders."""
    words = ["python" if word == sys.executable else word for word in command]
    return shlex.join(Path(word).name if word.startswith("/") else word for word in words)
