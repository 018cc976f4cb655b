"""The device report: no stage stops another, and it shows what they left and no more."""

import io
import json
import sys

import pytest
import torch
from rich.console import Console

from benchmarks import device_markdown, device_report
from benchmarks.stages import Stage


def python(name, code, limit_s=60.0, **options):
    return Stage(name, (sys.executable, "-c", code), limit_s, **options)


# The report


def run_all(made, tmp_path, budget_s=60.0):
    report = empty_report()
    out = tmp_path / "report.json"
    device_report.run_all(report, made, out, budget_s, Console(file=io.StringIO()))
    assert json.loads(out.read_text()) == json.loads(json.dumps(report))
    assert out.with_suffix(".md").read_text() == device_markdown.markdown(report)
    return report


def empty_report():
    return {
        "rehearsal": False,
        "machine": {
            "device": "Abacus",
            "driver": None,
            "cuda": "13.0",
            "cudnn": 91000,
            "python": "3.12.3",
            "torch": "2.11.0",
            "commit": "abc",
            "library": "0123456789ab-stale",
            "date": "2026-01-02",
        },
        "library": {
            "version": "0.1.0",
            "torch": "2.11.0",
            "nvcc": "13.0",
            "archs": "8.0;9.0a",
            "native": {"cpu": ["forward"], "cuda": ["forward", "pool2x2"]},
        },
        "budget_s": 480.0,
        "seconds": 1.5,
        "stages": [],
    }


def test_a_failing_stage_stops_no_other_and_each_is_written(tmp_path):
    read = f"import json; print(len(json.load(open({str(tmp_path / 'report.json')!r}))['stages']))"
    report = run_all(
        [
            python("broken", "raise SystemExit(3)"),
            Stage("absent", (), 60, unavailable="absent: a tool"),
            python("counts", read, facts=lambda output: {"before": output.strip()}),
        ],
        tmp_path,
    )
    assert [stage["status"] for stage in report["stages"]] == ["failed", "not run", "passed"]
    assert report["stages"][1]["detail"] == "absent: a tool"
    assert report["stages"][2]["before"] == "2"


def test_the_budget_is_for_all_stages(tmp_path, monkeypatch):
    monkeypatch.setattr(device_report, "_LEAST_SECONDS", 0.5)
    made = [python("long", "import time; time.sleep(60)"), python("late", "")]
    report = run_all(made, tmp_path, budget_s=1.0)
    assert [stage["status"] for stage in report["stages"]] == ["timed out", "not run"]
    assert report["stages"][1]["detail"] == "no time left of 1 s"
    assert report["seconds"] < 20


def test_a_rehearsal_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tiny = [python("known-answers", ""), Stage("memcheck", (), 0, unavailable="needs a GPU")]
    tiny.append(python("tests", "raise SystemExit(1)"))
    monkeypatch.setattr(device_report, "rehearsal_stages", lambda folder: tiny)
    monkeypatch.setattr(device_report, "RESULTS", tmp_path)
    assert device_report.main(["--stages", "known-answers", "memcheck"]) == 0
    printed = capsys.readouterr().out
    assert "PyTorch sees no GPU: this is a rehearsal" in printed
    assert "memcheck: not run, 0.0 s; needs a GPU" in printed
    (out,) = tmp_path.glob("*/device-rehearsal.json")
    report = json.loads(out.read_text())
    assert report["rehearsal"] is True
    assert [stage["name"] for stage in report["stages"]] == ["known-answers", "memcheck"]
    assert "It says nothing about a GPU" in out.with_suffix(".md").read_text()
    assert {path.name for path in out.parent.iterdir()} == {
        f"device-rehearsal.{kind}" for kind in ("json", "md", "log")
    }
    assert device_report.main(["--out", str(tmp_path / "x.json")]) == 1


def test_a_gpu_without_kernels_is_not_reported_on(tmp_path, monkeypatch, capsys):
    """Else the composition would pass all tests."""
    monkeypatch.setattr(device_report.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device_report.torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(device_report, "why_no_kernels", lambda index: f"{index} is too old")
    assert device_report.main(["--out", str(tmp_path / "report.json")]) == 1
    assert "no kernels run on this GPU: 0 is too old" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget-seconds", "0"], "--budget-seconds must be positive"),
        (["--out", "x.md"], "argument --out: must be a .json file, got x.md"),
        (["--stages", "lunch"], "invalid choice: 'lunch'"),
    ],
)
def test_bad_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        device_report.main(arguments)
    assert message in capsys.readouterr().err


# Markdown


def row(layer, contender, median_us, wall_us, flops):
    return {
        "layer": layer,
        "batch": 256,
        "dtype": "bfloat16",
        "mode": "forward",
        "input": "noise",
        "contender": contender,
        "alpha": 0.0 if contender == "vanilla" else 0.5,
        "kernel": f"k of {contender}",
        "samples": 25,
        "median_us": median_us,
        "p20_us": 0.9 * median_us,
        "p80_us": 1.2 * median_us,
        "wall_us": wall_us,
        "wall_p20_us": wall_us,
        "wall_p80_us": wall_us,
        "flops": flops,
        "bytes": 1000,
        "peak_bytes": 4000 if contender == "vanilla" else 3000,
    }


@pytest.fixture
def result():
    return {
        "settings": {
            "cudnn_benchmark": True,
            "memory_format": "channels_last",
            "bias": False,
            "batches": ["headline"],
            "samples": 25,
            "min_time_s": 0.05,
        },
        "ceilings": {"flops_per_second": {"bfloat16": 1e12}, "bytes_per_second": 2e12},
        "empty_us": 1.25,
        "rows": [
            row("one", "vanilla", 200.0, 220.0, 100_000_000),
            row("one", "composed", 250.0, 440.0, 40_000_000),
            row("one", "octconv_cuda", 50.0, 55.0, 40_000_000),
            row("two", "vanilla", 100.0, 110.0, 90_000_000),
            row("two", "octconv_cuda", 100.0, 110.0, 10_000_000),
        ],
    }


def test_geometric_means(result):
    (mean,) = device_markdown.geometric_means(result)
    assert mean.group == ("bfloat16", "forward", "headline")
    assert mean.layers == 2
    assert mean.speedups["octconv_cuda"] == (pytest.approx(2.0), 2)  # of 4 and 1
    assert mean.speedups["composed"] == (pytest.approx(0.8), 1)
    assert mean.wall["octconv_cuda"] == (pytest.approx(2.0), 2)
    assert mean.wall["composed"] == (pytest.approx(0.5), 1)
    assert mean.roofline == pytest.approx((2.5 * 9) ** 0.5)


def test_means_are_apart_by_batch_unless_headline(result):
    result["settings"]["batches"] = ["1", "32"]
    for r in result["rows"][3:]:
        r["batch"] = 32
    groups = [mean.group[2] for mean in device_markdown.geometric_means(result)]
    assert groups == ["256", "32"]


def test_markdown(result):
    report = empty_report()
    report["stages"] = [
        {"name": "tests", "status": "failed", "seconds": 61.2, "command": "", "detail": "a\nb | c"}
        | {"tests": {"passed": 5, "skipped": 1, "failed": ["t::x"]}},
        {"name": "racecheck", "status": "not run", "seconds": 0, "command": "", "detail": "absent"},
        {"name": "layers-bfloat16", "status": "timed out", "seconds": 150, "command": "x"}
        | {"detail": "", "result": result, "remarks": ["not timed: two, composed"]},
    ]
    text = device_markdown.markdown(report)
    assert text.startswith("# Device report: Abacus\n")
    expected = [
        "| driver | unknown |",
        "| octconv_cuda | 0.1.0 of sources 0123456789ab-stale, built against torch 2.11.0 |",
        "| CUDA kernels | 8.0;9.0a by nvcc 13.0 |",
        "| native CUDA operators | forward, pool2x2 |",
        "| time | 1.5 s of 480 s |",
        "| tests | failed | 61 | 5 passed, 1 skipped, 1 failed |",
        "| racecheck | not run | 0 | absent |",
        "| layers-bfloat16 | timed out | 150 | 5 rows, 1 not timed, see below |",
        "- layers-bfloat16: not timed: two, composed",
        "| bfloat16, forward | headline | 2 | 2.00x | 0.80x (of 1) | 2.00x | 0.50x (of 1) |"
        " 4.74x | 1.3x |",
        "| one | bfloat16, forward | 256 | 200.0 | 50.0 (45.0 to 60.0) | 4.00x | 0.80x | 2.50x |"
        " 80% | 0.75x | 4.00x | 0.50x | k of octconv_cuda |",
        "| two | bfloat16, forward | 256 | 100.0 | 100.0 (90.0 to 120.0) | 1.00x |  | 9.00x |"
        " 10% | 0.75x | 1.00x |  | k of octconv_cuda |",
    ]
    lines = text.splitlines()
    assert [line for line in expected if line not in lines] == []
    assert "```\na\nb | c\n```" in text
    assert "without bias; cuDNN's search for algorithms is on for all" in text
    assert "The roofline is of 1 TFLOP/s (bfloat16), 2 TB/s, measured just before." in text
    assert "kernels with a cold L2 cache" in text
    assert "take turns. Events with nothing between them are 1.2 us apart. Random" in text


def test_markdown_of_wall_times_alone(result):
    for r in result["rows"]:
        r["wall_us"] = r["peak_bytes"] = None
    report = empty_report() | {"rehearsal": True}
    stage = {"name": "layers-bfloat16", "status": "passed", "seconds": 1, "detail": ""}
    report["stages"] = [{**stage, "result": result}]
    text = device_markdown.markdown(report)
    assert "wall times on a CPU" in text
    assert ", wall" not in text
    assert "It says nothing about a GPU" in text
