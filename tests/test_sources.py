"""Which sources the library is of: the hash, what a build does with it, what benchmarks say."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from emulators import NO_COMPILER
from machine_code import ROOT

from benchmarks import layers, machine, networks
from benchmarks.harness import Outcome
from octconv_cuda.build import build_info
from octconv_cuda.sources import sources_digest

CPU = torch.device("cpu")
SMALL = {
    "ops.cpp": '#include "sources.h"\nextern "C" const char* of() { return OCTCONV_CUDA_SOURCES; }',
    "one.cpp": "int one() { return 1; }",
    "cpu/two.cpp": "int two() { return 2; }",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A library that is built as this one is, and has next to nothing in it."""
    for name in ("setup.py", "octconv_cuda/sources.py", *(f"csrc/{name}" for name in SMALL)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("csrc"):
            (tmp_path / name).write_text(SMALL[name.removeprefix("csrc/")])
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_every_name_and_content_counts(project: Path) -> None:
    one, two = project / "csrc" / "one.cpp", project / "csrc" / "two.h"
    digests = [sources_digest(project)]

    def changed() -> bool:
        digests.append(sources_digest(project))
        return digests[-1] not in digests[:-1]

    one.write_text("int one() { return 2; }")
    assert changed()
    one.rename(two)
    assert changed()
    two.rename(project / "csrc" / "cpu" / "two.h")
    assert changed()
    with (project / "setup.py").open("a") as file:
        file.write("\n")
    assert changed()
    (project / "csrc" / "one.cpp").touch()
    assert changed()
    assert all(digest is not None and re.fullmatch("[0-9a-f]{12}", digest) for digest in digests)


def test_nothing_else_counts(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "checkout"
    shutil.copytree(project, elsewhere)
    (elsewhere / "csrc" / ".one.cpp.swp").touch()
    (elsewhere / "README.md").touch()
    assert sources_digest(elsewhere) == sources_digest(project)


def test_what_is_not_whole_has_no_hash(project: Path, tmp_path: Path) -> None:
    (project / "setup.py").unlink()
    assert sources_digest(project) is None
    assert sources_digest(tmp_path / "nowhere") is None


@NO_COMPILER
def test_a_changed_file_and_what_tells_of_it_are_compiled_again(project: Path) -> None:
    def build() -> dict[str, int]:
        """When each object was made."""
        path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])  # for ninja
        command = [sys.executable, "setup.py", "build_ext", "--inplace"]
        environment = {**os.environ, "CUDA_HOME": "", "PATH": path}
        log = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert log.returncode == 0, log.stdout + log.stderr
        digest = sources_digest(project)
        assert digest is not None
        assert digest.encode() in (project / "octconv_cuda" / "_C.abi3.so").read_bytes()
        return {path.name: path.stat().st_mtime_ns for path in project.glob("build/temp*/**/*.o")}

    before = build()
    assert before.keys() == {"ops.o", "one.o", "two.o"}
    assert build() == before
    (project / "csrc" / "cpu" / "two.cpp").write_text("int two() { return 3; }")
    after = build()
    assert {name for name in after if after[name] != before[name]} == {"ops.o", "two.o"}


def test_the_library_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = build_info().sources
    assert re.fullmatch("[0-9a-f]{12}", sources)
    for here, library in [(sources, sources), ("0" * 12, f"{sources}-stale"), (None, sources)]:
        monkeypatch.setattr(machine, "sources_digest", lambda root, here=here: here)
        assert machine.describe(CPU)["library"] == library


@pytest.mark.parametrize("stale", [True, False])
def test_benchmarks_warn_of_a_stale_library(
    stale: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    digest = "0" * 12 if stale else build_info().sources
    monkeypatch.setattr(machine, "sources_digest", lambda root: digest)
    monkeypatch.setattr(layers, "measure_ceilings", lambda *arguments: {})
    monkeypatch.setattr(layers, "run_case", lambda *arguments: Outcome([], [], []))
    monkeypatch.setattr(networks, "run_case", lambda *arguments: ([], []))
    for benchmark in (layers, networks):
        monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)  # which they set
        options = ["--device", "cpu", "--threads", "1", "--out", str(tmp_path / "a.json")]
        assert benchmark.main(options) == 0
        printed = capsys.readouterr().out
        assert printed.count("Stale library") == stale
