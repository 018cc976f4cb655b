import functools
import json
import re
import time

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from benchmarks import (
    accuracy,
    contenders,
    harness,
    inputs,
    layers,
    machine,
    timing,
)
from benchmarks.layer_list import ALPHAS, LAYERS, Layer
from octconv_cuda import reference, split_channels

CPU = torch.device("cpu")
TINY = Layer("tiny 3x3", (7, 6), 8, 16, 3, (1, 2), 2)
FAST = {"samples": 3, "min_time": 0.0}


@pytest.fixture
def _restore_threads():
    threads, cudnn_benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    yield
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = cudnn_benchmark


def tiny_case(mode="forward", dtype="float32", kind="noise", alpha=0.5, names=("octconv_cuda",)):
    entries = (("vanilla", 0.0), *((name, alpha) for name in names))
    return harness.Case(TINY, 2, dtype, mode, kind, entries)


# What is timed, and on what


def test_layer_list():
    assert len({layer.name for layer in LAYERS}) == len(LAYERS) == 12
    for layer in LAYERS:
        assert layer.headline_batch in layer.batches
        assert all(0 not in split_channels(layer.in_channels, alpha) for alpha in ALPHAS)


def neighbour_correlation(features):
    shifted = torch.stack([features[..., 1:].flatten(), features[..., :-1].flatten()])
    return float(torch.corrcoef(shifted)[0, 1])


def test_photo_is_real_image_data():
    features = inputs.photo_features(2, 16, (28, 28), seed=0)
    assert features.shape == (2, 16, 28, 28)
    assert (features.amax((2, 3)) > features.amin((2, 3))).all()
    assert not torch.equal(features[0], features[1])
    (noise,) = inputs.octave_maps("noise", 2, (16, 0), (28, 28), seed=0)
    assert neighbour_correlation(features) > 0.5
    assert abs(neighbour_correlation(noise)) < 0.1


@pytest.mark.parametrize("kind", inputs.INPUTS)
def test_octave_maps_keep_the_2_to_1_ratio(kind):
    high, low = inputs.octave_maps(kind, 2, (6, 10), (9, 14), seed=3)
    assert high.shape == (2, 6, 9, 14)
    assert low.shape == (2, 10, 5, 7)
    (vanilla,) = inputs.octave_maps(kind, 2, (16, 0), (9, 14), seed=3)
    assert vanilla.shape == (2, 16, 9, 14)
    if kind == "photo":
        assert torch.equal(low, reference.pool(vanilla[:, 6:]))


# Checking and timing


@pytest.mark.parametrize("mode", contenders.MODES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_are_complete(mode, dtype):
    case = tiny_case(mode, dtype, names=("composed", "octconv_cuda"))
    ticks = []
    outcome = harness.run_case(case, CPU, **FAST, progress=lambda: ticks.append(1))
    assert outcome.refused == outcome.skipped == []
    rows = json.loads(json.dumps(outcome.rows))
    assert [row["contender"] for row in rows] == ["vanilla", "composed", "octconv_cuda"]
    assert len(ticks) == 3 * len(rows)
    for row in rows:
        assert set(row) == {
            *("layer", "batch", "alpha", "dtype", "mode", "input", "contender", "kernel"),
            *("samples", "median_us", "p20_us", "p80_us", "wall_us", "wall_p20_us", "wall_p80_us"),
            *("peak_bytes", "flops", "bytes"),
        }
        assert (row["layer"], row["batch"], row["dtype"], row["mode"]) == (
            TINY.name,
            2,
            dtype,
            mode,
        )
        assert row["alpha"] == (0 if row["contender"] == "vanilla" else 0.5)
        assert row["samples"] == 3
        assert 0 < row["p20_us"] <= row["median_us"] <= row["p80_us"]
        assert row["kernel"]
        assert row["wall_us"] is row["peak_bytes"] is None


@pytest.mark.parametrize("bias", [False, True])
def test_a_bias_is_there_only_if_asked_for(bias):
    case = tiny_case("weight_gradient", names=("composed", "octconv_cuda"))._replace(bias=bias)
    ready, outcome = harness.check_case(case, CPU)
    assert outcome.refused == outcome.skipped == []
    assert [len(entry.call()) for entry in ready] == [1 + bias, 4 + 2 * bias, 1 + bias]


def test_a_contender_that_raises_is_refused(monkeypatch):
    def out_of_memory(y):
        raise torch.OutOfMemoryError("no 3 GB")

    plant(monkeypatch, out_of_memory)
    outcome = harness.run_case(tiny_case(), CPU, **FAST)
    assert [row["contender"] for row in outcome.rows] == ["vanilla"]
    assert "octconv_cuda: OutOfMemoryError: no 3 GB" in outcome.refused[0]


def test_photo_rows():
    outcome = harness.run_case(tiny_case(kind="photo"), CPU, **FAST)
    assert [row["input"] for row in outcome.rows] == ["photo", "photo"]


def test_flops_and_bytes():
    case = tiny_case()
    vanilla, octave = (harness.flops_and_bytes(case, alpha) for alpha in (0, 0.5))
    assert vanilla == (2 * 2 * 8 * 16 * 9 * 42, 4 * (8 * 16 * 9 + 2 * 24 * 42))
    assert octave[1] == 4 * (8 * 16 * 9 + 2 * (12 * 42 + 12 * 4 * 3))
    both = harness.flops_and_bytes(case._replace(mode="forward_backward"), 0.5)
    assert both == (3 * octave[0], 3 * octave[1])


def plant(monkeypatch, change):
    """Replaces the results of octconv_cuda by change(results)."""
    build = contenders.BUILDERS["octconv_cuda"]

    def wrong(*arguments):
        contender = build(*arguments)
        return contender._replace(run=lambda *maps: change(contender.run(*maps)))

    monkeypatch.setitem(contenders.BUILDERS, "octconv_cuda", wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: (y[0] * 1.00001, y[1]), "y_high may differ from float64 by"),
        (lambda y: (y[0], y[1].roll(1, 3)), "y_low may differ from float64 by"),
        (lambda y: (y[0], y[1] * float("nan")), "got nan"),
        (lambda y: (y[0][:, 1:], y[1]), r"y_high must be \(2, 8, 7, 6\), got \(2, 7, 7, 6\)"),
        (lambda y: (y[0],), "expected 2 tensors, got 1"),
    ],
)
def test_a_wrong_contender_is_refused(monkeypatch, change, message):
    plant(monkeypatch, change)
    outcome = harness.run_case(tiny_case(names=("composed", "octconv_cuda")), CPU, **FAST)
    assert [row["contender"] for row in outcome.rows] == ["vanilla", "composed"]
    (refusal,) = outcome.refused
    assert "tiny 3x3" in refusal
    assert "alpha 0.5, octconv_cuda" in refusal
    assert re.search(message, refusal)


@pytest.mark.parametrize("mode", ["input_gradient", "weight_gradient", "forward_backward"])
def test_a_wrong_gradient_is_refused(monkeypatch, mode):
    # The value stays, its derivative doubles.
    plant(monkeypatch, lambda y: tuple(2 * part - part.detach() for part in y))
    outcome = harness.run_case(tiny_case(mode), CPU, **FAST)
    assert [row["contender"] for row in outcome.rows] == ["vanilla"]
    assert "gradient of" in outcome.refused[0]


@pytest.mark.parametrize("mode", ["input_gradient", "forward_backward"])
def test_the_compiled_contender(monkeypatch, mode):
    # aot_eager traces as the default backend does, without its minute of C++.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    outcome = harness.run_case(tiny_case(mode, names=("composed_compiled",)), CPU, **FAST)
    assert [row["contender"] for row in outcome.rows] == ["vanilla", "composed_compiled"]


def test_a_compiler_that_fails_is_reported_not_timed(monkeypatch):
    def broken(graph, example_inputs):
        raise OSError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=broken))
    outcome = harness.run_case(tiny_case(names=("composed_compiled",)), CPU, **FAST)
    assert [row["contender"] for row in outcome.rows] == ["vanilla"]
    assert outcome.refused == []
    assert "composed_compiled" in outcome.skipped[0]
    assert "no C++ compiler" in outcome.skipped[0]


def test_samples_are_interleaved_and_rotate():
    calls = []
    fast, slow = (lambda: calls.append("a")), (lambda: (calls.append("b"), time.sleep(0.002)))
    timings = timing.interleaved([fast, slow], None, samples=4, min_time=0.0)
    assert "".join(calls[-8:]) == "abbaabba"
    assert [t.samples for t in timings] == [4, 4]
    assert timings[1].median_us > 2000 > timings[0].median_us
    assert timings[0].wall_us is None


def test_min_time_repeats_short_calls():
    calls = []
    timing.interleaved([lambda: calls.append(time.sleep(0.0002))], None, samples=5, min_time=0.1)
    assert len(calls) > 100


def test_tf32_may_round_operands_where_the_plain_operators_do_not():
    """As PyTorch on a CPU never does, and cuDNN not always."""
    maps, weight = [torch.randn(2, 8, 6, 6), torch.randn(2, 8, 3, 3)], torch.randn(16, 16, 3, 3)
    gradients = [torch.randn(2, 8, 6, 6), torch.randn(2, 8, 3, 3)]
    operands = map(accuracy.rounded_to_tf32, (*maps, weight))
    rounded = reference.oct_conv2d(*operands, None, 8)
    with machine.precision("tf32"):
        accuracy.check(rounded, accuracy.expect(maps, weight, None, gradients, "forward"))
    with machine.precision("float32"):
        expected = accuracy.expect(maps, weight, None, gradients, "forward")
    with pytest.raises(accuracy.WrongResultError, match="y_high may differ"):
        accuracy.check(rounded, expected)


def test_the_search_of_cudnn_is_off_for_float64_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch keeps what it first meets for a shape and dtype, and so for the contenders, too."""
    seen: dict[torch.dtype, set[bool]] = {}

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is F.conv2d:
                seen.setdefault(args[0].dtype, set()).add(torch.backends.cudnn.benchmark)
            return function(*args, **(kwargs or {}))

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    maps = [torch.randn(2, 8, 6, 6), torch.randn(2, 8, 3, 3)]
    with Watch():
        accuracy.expect(maps, torch.randn(16, 16, 3, 3), None, maps, "forward_backward")
    assert seen == {torch.float64: {False}, torch.float32: {True}}
    assert torch.backends.cudnn.benchmark


# The command and its output

RUN = [
    *("--device", "cpu", "--threads", "1", "--samples", "2", "--min-time", "0"),
    *("--contenders", "composed", "octconv_cuda", "--alphas", "0.25", "0.5"),
]


@pytest.mark.usefixtures("_restore_threads")
def test_command_writes_json_and_picture(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(layers, "LAYERS", (TINY,))
    out = tmp_path / "here" / "result.json"
    assert layers.main([*RUN, "--input", "noise", "photo", "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert set(result) == {"machine", "settings", "ceilings", "empty_us", "rows"}
    assert result["empty_us"] is None
    assert set(result["machine"]) == {
        *("device", "processor", "driver", "cuda", "cudnn", "python", "torch", "threads"),
        *("commit", "library", "date"),
    }
    assert result["settings"] == {
        "cudnn_benchmark": True,
        "cold_l2": False,
        "memory_format": "channels_last",
        "bias": False,
        "batches": ["headline"],
        "samples": 2,
        "min_time_s": 0.0,
        "family": "",
        "trial": "",
    }
    assert result["machine"]["threads"] == 1
    assert result["ceilings"]["flops_per_second"]["float32"] > 1e6
    assert result["ceilings"]["bytes_per_second"] > 1e6
    assert len(result["rows"]) == 2 * (1 + 2 * 2)
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    for text in ("tiny 3x3", "octconv_cuda", "photo", "speed-up", str(out)):
        assert text in printed


@pytest.mark.usefixtures("_restore_threads")
def test_command_fails_on_a_wrong_result(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(layers, "LAYERS", (TINY,))
    ceilings = {"flops_per_second": {"float32": 1e9}, "bytes_per_second": 1e8}
    monkeypatch.setattr(layers, "measure_ceilings", lambda device, dtypes: ceilings)
    plant(monkeypatch, lambda y: (y[0] + 1, y[1]))
    out = tmp_path / "result.json"
    assert layers.main([*RUN, "--out", str(out)]) == 1
    assert "refused: tiny 3x3" in capsys.readouterr().out
    contenders_timed = {row["contender"] for row in json.loads(out.read_text())["rows"]}
    assert contenders_timed == {"vanilla", "composed"}


@pytest.mark.usefixtures("_restore_threads")
def test_what_a_case_raises_ends_no_other(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(layers, "LAYERS", (TINY,))

    def failing(case, *arguments):
        if case.mode == "forward":
            raise RuntimeError("no memory is left")
        return harness.run_case(case, *arguments)

    monkeypatch.setattr(layers, "run_case", failing)
    out = tmp_path / "result.json"
    assert layers.main([*RUN, "--mode", "forward", "input_gradient", "--out", str(out)]) == 1
    assert "RuntimeError: no memory is left" in capsys.readouterr().out
    assert {row["mode"] for row in json.loads(out.read_text())["rows"]} == {"input_gradient"}


def test_quick_compiles_at_one_alpha_and_feeds_a_photo():
    cases = layers._cases(layers._parse(["--quick", "--device", "cpu"]))
    assert [(case.layer.name, case.batch) for case in cases[:3]] == [
        ("resnet 3x3 56", 1),
        ("resnet 1x1 56 expand", 1),
        ("unet 3x3 64", 1),
    ]
    for case in cases:
        names = [name for name, _ in case.entries]
        assert set(names) == {"vanilla", "composed", "composed_compiled", "octconv_cuda"}
        assert names.count("composed_compiled") == 1
    assert [case.input for case in cases] == ["noise", "noise", "noise", "photo"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alphas", "1.5"], "--alphas must be between 0 and 1"),
        (["--layers", "lenet"], "--layers: none of resnet 3x3 56"),
        (["--batches", "many"], "--batches: must be a number, headline or all, got many"),
        (["--device", "cpu", "--dtype", "tf32"], "--dtype tf32 needs --device cuda"),
        (
            ["--device", "cpu", "--contenders", "octconv_cuda_trial"],
            "--contenders octconv_cuda_trial needs --device cuda",
        ),
        (["--samples", "0"], "must be positive"),
        (["--out", "x.png"], "must be a .json file, got x.png"),
    ],
)
def test_bad_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        layers.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["octconv_cuda_trial", "octconv_cuda_trial:late"])
def test_what_is_on_trial_must_stand_beside_what_is_not(name, monkeypatch, capsys):
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "late")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(SystemExit, match="2"):
        layers.main(["--contenders", "octconv_cuda", name])
    assert "unset OCTCONV_CUDA_TRIAL" in capsys.readouterr().err


def test_results_go_to_no_folder(tmp_path, capsys):
    folder = tmp_path / "folder.json"
    folder.mkdir()
    with pytest.raises(SystemExit, match="2"):
        layers.main(["--out", str(folder)])
    assert f"must be a .json file, got {folder}" in capsys.readouterr().err


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
def test_the_error_of_onednns_convolutions_counts_too():
    """PyTorch takes so small a layer to BLAS, which adds up in another order."""
    maps = [torch.randn(1, 8, 6, 6), torch.randn(1, 8, 3, 3)]
    gradients = [torch.randn(1, 8, 6, 6), torch.randn(1, 8, 3, 3)]
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        accuracy.expect(maps, torch.randn(16, 16, 1, 1), None, gradients, "forward")
    calls = {event.key: event.count for event in profile.key_averages()}
    assert calls["aten::mkldnn_convolution"] == 4
