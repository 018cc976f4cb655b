"""A stage ends in a record whatever happens in it, and what it leaves is read."""

import json
import sys
import time

import pytest
import torch

from benchmarks import device_markdown, device_stages, layers, stages
from benchmarks import outcomes as outcomes_plugin
from benchmarks.contenders import ON_TRIAL, PARTS_ON_TRIAL
from benchmarks.stages import Stage


def python(name, code, limit_s=60.0, **options):
    return Stage(name, (sys.executable, "-c", code), limit_s, **options)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "report.log"


# One stage


def test_a_stage_that_passes(log):
    stage = python("good", 'print("counted 3")', facts=lambda output: {"count": output.split()[-1]})
    record = stages.run(stage, 60, log)
    assert record.pop("seconds") >= 0
    assert record == {
        "name": "good",
        "status": "passed",
        "command": """python -c 'print("counted 3")'""",
        "detail": "",
        "count": "3",
    }
    assert "=== good" in log.read_text()
    assert "counted 3" in log.read_text()


def test_a_stage_that_fails_shows_the_end_of_its_output(log):
    record = stages.run(python("bad", "import no_such_module"), 60, log)
    assert record["status"] == "failed"
    assert record["detail"].endswith("ModuleNotFoundError: No module named 'no_such_module'")


def test_a_stage_that_hangs_is_killed_with_its_children(log, tmp_path):
    pid = tmp_path / "pid"
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(pid)!r}, "w").write(str(child.pid))
print("so far", flush=True)
time.sleep(60)
"""
    start = time.monotonic()
    record = stages.run(python("hangs", code, facts=lambda output: {"rows": 7}), 2, log)
    assert record["status"] == "timed out"
    assert record["rows"] == 7  # what was done by then counts
    assert record["detail"] == "so far"
    assert time.monotonic() - start < 30
    deadline = time.monotonic() + 10
    while _runs(int(pid.read_text())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(int(pid.read_text()))


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_that_dies_says_so_beside_what_it_left(log):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    counted = {"tests": {"passed": 3, "skipped": 0, "failed": []}}
    record = stages.run(python("dies", code, facts=lambda output: dict(counted)), 60, log)
    assert record["status"] == "failed"
    assert "3 passed, 0 skipped, 0 failed, ended by signal 11" in device_markdown._summary(record)


def test_a_program_that_is_not_there(log):
    record = stages.run(Stage("none", ("no-such-program",), 60), 60, log)
    assert record["status"] == "failed"
    assert "no-such-program" in record["detail"]


def test_a_problem_or_unreadable_facts_fail(log):
    vacuous = python("vacuous", "", facts=lambda output: {"problem": "no test passed"})
    assert stages.run(vacuous, 60, log)["status"] == "failed"
    broken = python("broken", "", facts=lambda output: json.loads(output))
    record = stages.run(broken, 60, log)
    assert record["status"] == "failed"
    assert "unreadable result: JSONDecodeError" in record["detail"]


def test_environment_reaches_the_stage(log):
    code = "import os; assert os.environ['MARK'] == '1'"
    assert stages.run(python("e", code, environment={"MARK": "1"}), 60, log)["status"] == "passed"
    assert stages.run(python("e", code), 60, log)["status"] == "failed"


# What the stages of the report leave


def test_pytest_is_counted(log, tmp_path):
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 0\n"
        "def test_left_out(): pytest.skip('no')\n"
        "@pytest.fixture\n"
        "def bad_end():\n    yield\n    assert 0\n"
        "def test_bad_twice(bad_end): assert 0\n"
    )
    stage = device_stages._tests("tests", tmp_path, 60, str(tmp_path / "test_some.py"))
    record = stages.run(stage, 60, log)
    assert record["status"] == "failed"
    assert (record["tests"]["passed"], record["tests"]["skipped"]) == (1, 1)
    names = [name.rpartition("::")[2] for name in record["tests"]["failed"]]
    assert names == ["test_bad", "test_bad_twice"]


@pytest.mark.parametrize("parallel", [(), ("-n", "2")], ids=["alone", "shared"])
def test_tests_that_are_stopped_leave_outcomes(log, tmp_path, parallel):
    """Also where a test cannot be interrupted."""
    (tmp_path / "test_some.py").write_text(
        "import signal, time\n"
        "def test_bad(): assert 0\n"
        "def test_hangs():\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})\n"
        "    time.sleep(60)\n"
    )
    selection = (str(tmp_path / "test_some.py"), *parallel, "--dist", "loadfile")
    stage = device_stages._tests("tests", tmp_path, 60, *selection)
    record = stages.run(stage, 15, log)
    assert record["status"] == "timed out"
    assert [name.rpartition("::")[2] for name in record["tests"]["failed"]] == ["test_bad"]


def test_tests_that_cannot_start_say_why(log, tmp_path):
    (tmp_path / "conftest.py").write_text("import a_package_that_is_missing\n")
    stage = device_stages._tests("tests", tmp_path, 60, str(tmp_path))
    record = stages.run(stage, 60, log)
    assert record["status"] == "failed"
    assert "No module named 'a_package_that_is_missing'" in record["detail"]


@pytest.mark.parametrize(("skipped", "enough"), [(4, False), (2, False), (1, True)])
def test_tests_that_see_no_gpu_are_no_success(skipped, enough, tmp_path):
    path = tmp_path / "tests.jsonl"
    outcomes = skipped * [("skipped", "Skipped: no CUDA device")] + (4 - skipped) * [("passed", "")]
    outcomes += 9 * [("skipped", "Skipped: no device of compute capability 9.0")]
    lines = (f"{json.dumps([f'test {i}', *outcome])}\n" for i, outcome in enumerate(outcomes))
    path.write_text("".join(lines))
    facts = outcomes_plugin.facts_of(path)
    assert (facts["problem"] == "") is enough
    assert facts["tests"]["passed"] == 4 - skipped


@pytest.mark.parametrize(
    ("printed", "code", "status"),
    [
        ("========= ERROR SUMMARY: 0 errors", 0, "passed"),
        ("========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)", 9, "failed"),
        ("========= Error: Device not supported", 1, "failed"),
        ("nothing", 0, "failed"),
    ],
)
def test_sanitizer_stage(printed, code, status, log, tmp_path, monkeypatch):
    tool = tmp_path / "bin" / "compute-sanitizer"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\necho '{printed}'\necho \"$@\"\nexit {code}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert device_stages.find_sanitizer() == str(tool)
    stage = device_stages._checked_by("memcheck")
    assert stage.unavailable == ""
    record = stages.run(stage, 60, log)
    assert record["status"] == status
    assert record["command"].startswith("compute-sanitizer --tool memcheck")
    assert "-m benchmarks.small_case --device cuda" in log.read_text()
    if "SUMMARY" in printed:
        assert record["summary"] == printed.removeprefix("========= ")
    else:
        assert record["detail"].startswith("the tool gave no summary")


def test_an_absent_sanitizer_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device_stages._checked_by("racecheck").unavailable.startswith("absent")


def test_device_stages_are_the_commands_they_should_be(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    made = device_stages.device_stages(tmp_path)
    assert tuple(stage.name for stage in made) == device_stages.STAGES
    suites = [stage for stage in made if stage.name.startswith("layers-")]
    args = [layers._parse(stage.command[3:]) for stage in suites]
    assert {args.device for args in args} == {"cuda"}
    families = {stage.name: stage.environment["OCTCONV_CUDA_FAMILY"] for stage in suites}
    assert families == {name: "sm80" if name == "layers-sm80" else "" for name in families}
    assert [
        s.name for s, a in zip(suites, args, strict=True) if "composed_compiled" in a.contenders
    ] == ["layers-compiled"]
    trial = {s.name for s in made if s.environment.get("OCTCONV_CUDA_TRIAL") == "1"}
    assert trial == {"memcheck-trial", "synccheck-trial"}  # tests and contenders set it themselves
    beside = {s.name for s, a in zip(suites, args, strict=True) if ON_TRIAL in a.contenders}
    assert beside == {"layers-trial", "layers-trial-gradient"}
    parts = [a.contenders for a in args if {*PARTS_ON_TRIAL} & {*a.contenders}]
    assert parts == [["octconv_cuda", part] for part in PARTS_ON_TRIAL]  # each in its own process
    assert sum(stage.limit_s for stage in made[:6]) <= 0.75 * device_stages.BUDGET_S
    forward = {(d, b) for a in args if a.modes == ["forward"] for d in a.dtypes for b in a.batches}
    assert forward == {
        (d, b) for d in ("bfloat16", "float16", "tf32") for b in ("1", "32", "headline")
    }
    assert all(len(layers._cases(a)) % 12 == 0 for a in args)


def test_rehearsal_has_every_stage(tmp_path):
    made = device_stages.rehearsal_stages(tmp_path)
    assert tuple(stage.name for stage in made) == device_stages.STAGES
    runs = {stage.name for stage in made if not stage.unavailable}
    assert runs == {"known-answers", "small-case", "tests", "layers-bfloat16"}
    (suite,) = (stage for stage in made if stage.name == "layers-bfloat16")
    assert suite.environment == {"OCTCONV_CUDA_FAMILY": "", "OCTCONV_CUDA_TRIAL": ""}
    assert layers._parse(suite.command[3:]).device == "cpu"
