"""A layer result as ratios, as Markdown, and in the README."""

import json

import pytest

from benchmarks import readme, report


def row(contender, alpha, median_us, flops):
    return {
        "layer": "a layer",
        "batch": 4,
        "alpha": alpha,
        "dtype": "float32",
        "mode": "forward",
        "input": "noise",
        "contender": contender,
        "kernel": "k",
        "samples": 3,
        "median_us": median_us,
        "p20_us": 0.9 * median_us,
        "p80_us": 1.2 * median_us,
        "wall_us": None,
        "peak_bytes": None,
        "flops": flops,
        "bytes": 1000,
    }


@pytest.fixture
def result():
    return {
        "machine": {
            "device": "Abacus",
            "threads": 2,
            "torch": "2.13.0",
            "date": "2026-01-02T03",
            "commit": "0123456789-dirty",
        },
        "ceilings": {"flops_per_second": {"float32": 1e9}, "bytes_per_second": 1e8},
        "rows": [
            row("vanilla", 0.0, 200.0, 100_000),
            row("composed", 0.5, 160.0, 40_000),
            row("octconv_cuda", 0.5, 100.0, 40_000),
            row("octconv_cuda", 0.25, 125.0, 80_000),
        ],
    }


def test_report_computes_ratios(result):
    vanilla, _, octave, other = report.lines(result)
    assert vanilla[1:] == (1.0, 1.0, 0.5, 1.0, None)  # 100 us of arithmetic in 200 us
    assert octave[1:] == (2.0, 2.5, 0.4, 2.5, None)
    assert other[1:] == (1.6, 1.25, 0.64, 1.25, None)


def test_report_without_vanilla_shows_no_ratio(result):
    del result["rows"][0]
    assert [line.speedup for line in report.lines(result)] == [None] * 3
    report.table(result)


def test_markdown(result):
    text = report.markdown(result, 0.5)
    assert text.splitlines() == [
        "Abacus, 2 threads, torch 2.13.0, 2026-01-02, commit 0123456-dirty; "
        "float32, forward, noise; alpha 0.5",
        "",
        "| layer | batch | vanilla, us | octconv_cuda | composed | FLOP ceiling |",
        "|---|---|--:|--:|--:|--:|",
        "| a layer | 4 | 200 | 2.00x | 1.25x | 2.50x |",
    ]


def test_summary(result):
    result["rows"] += [
        {**row("vanilla", 0.0, 300.0, 100_000), "layer": "another 1x1"},
        {**row("octconv_cuda", 0.5, 600.0, 40_000), "layer": "another 1x1"},
        {**row("vanilla", 0.0, 300.0, 100_000), "layer": "a third 3x3"},
        {**row("octconv_cuda", 0.5, 300.0, 40_000), "layer": "a third 3x3"},
    ]
    assert report.summary({"abacus/layers": result}, 0.5).splitlines()[-1] == (
        "| abacus/layers | Abacus, 2 threads | float32 | forward | 3 | 4 "
        "| 1.00x | 1.00x | 0.50x | 0.50 to 2.00 |  | 1.60x, eager |"
    )


def test_summary_keeps_dtypes_and_inputs_apart(result):
    result["rows"] += [
        {**row("vanilla", 0.0, 300.0, 100_000), "input": "photo"},
        {**row("octconv_cuda", 0.5, 200.0, 40_000), "input": "photo"},
    ]
    *_, noise, photo = report.summary({"abacus/layers": result}, 0.5).splitlines()
    assert "| float32 | forward, noise | 1 | 4 | 2.00x |" in noise
    assert "| float32 | forward, photo | 1 | 4 | 1.50x |" in photo
    result["ceilings"]["flops_per_second"]["bfloat16"] = 1e9
    result["rows"][-2:] = [
        {**row("vanilla", 0.0, 300.0, 100_000), "dtype": "bfloat16"},
        {**row("octconv_cuda", 0.5, 100.0, 40_000), "dtype": "bfloat16"},
    ]
    *_, wide, narrow = report.summary({"abacus/layers": result}, 0.5).splitlines()
    assert "|  | forward, float32 | 1 | 4 | 2.00x |" in wide
    assert "|  | forward, bfloat16 | 1 | 4 | 3.00x |" in narrow


def test_summary_of_a_gpu_has_wall_time_and_what_search_there_was(result):
    result["settings"] = {"bias": False, "cudnn_benchmark": False}
    for measured in result["rows"]:
        measured["wall_us"] = 300.0 if measured["contender"] == "vanilla" else 400.0
    result["rows"].append(
        {**row("composed_compiled", 0.5, 125.0, 40_000), "wall_us": 500.0},
    )
    last = report.summary({"abacus/layers": result}, 0.5).splitlines()[-1]
    assert "float32, no bias, cuDNN's heuristics, kernel time" in last
    assert last.endswith("| 2.00x |  |  | 2.00 to 2.00 | 0.75x | 1.25x, faster of 2 |")
    result["settings"]["cudnn_benchmark"] = True
    assert "heuristics" not in report.summary({"abacus/layers": result}, 0.5)


def test_processors_of_one_name_are_told_apart(result):
    result["machine"]["processor"] = "family 25, model 1, AVX2"
    assert report.machine_text(result).startswith("Abacus (family 25, model 1, AVX2), 2 threads")


def test_readme_block(result, tmp_path, capsys):
    folder = tmp_path / "benchmarks" / "results" / "abacus"
    folder.mkdir(parents=True)
    (folder / "layers.json").write_text(json.dumps(result))
    (folder / "quick.json").write_text("not shown")
    (folder / "device-report.json").write_text('{"stages": []}')
    text = tmp_path / "README.md"
    text.write_text(f"before\n{readme.BEGIN}\nnot by it\n{readme.END}\nafter\n")
    assert readme.main(["--check"], tmp_path) == 1
    assert "python -m benchmarks.readme" in capsys.readouterr().out
    assert readme.main([], tmp_path) == 0
    assert readme.main(["--check"], tmp_path) == 0
    written = text.read_text()
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "not by it" not in written
    assert report.summary({"abacus/layers": result}, 0.5) in written
    assert "(benchmarks/results/abacus/layers.png)" in written
    everything = (tmp_path / readme.FULL).read_text()
    assert report.markdown(result, 0.5) in everything
    assert "(abacus/layers.png)" in everything
    (tmp_path / readme.FULL).write_text("by hand")
    assert readme.main(["--check"], tmp_path) == 1


def test_readme_without_markers_is_an_error():
    with pytest.raises(ValueError, match="results:begin"):
        readme.replace_block("no markers", "new")
