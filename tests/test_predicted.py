"""What the table of predictions says, beside what was measured."""

import json
import re

import pytest

from benchmarks import contenders, predicted
from benchmarks.files import RESULTS
from benchmarks.layer_list import HEADLINE_ALPHA, LAYERS


def lines_of(capsys, *arguments: str) -> list[list[str]]:
    """The words of the lines that name a pass."""
    assert predicted.main([*arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [line.split() for line in lines if " forward " in line or "gradient " in line]


def test_predictions_are_marked_as_such(capsys):
    assert predicted.main(["--layers", "resnet 3x3 14", "--batches", "headline", "--plans"]) == 0
    text = capsys.readouterr().out
    assert text.count("PREDICTED for H200") == 1
    assert "is an assumption" in text
    assert text.count("resnet 3x3 14, batch 256, ") == 3  # plans in words


def test_kernels_on_trial_are_predicted_where_they_are_asked_for(capsys, monkeypatch):
    def predictions() -> list[float]:
        lines = lines_of(capsys, "--layers", "vgg 3x3 28", "--batches", "1")
        return [float(re.search(r"sm90 (\S+)", " ".join(words))[1]) for words in lines]

    whole = predictions()
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "1")
    trial = predictions()
    assert trial[0] < whole[0]
    assert trial[1] < whole[1]
    assert trial[2] == whole[2]  # the weight gradient's are another matter


def test_what_was_measured_stands_beside_it(capsys):
    forward, *_ = lines_of(capsys, "--layers", "unet 3x3 64", "--batches", "8")
    rows = json.loads((RESULTS / "nvidia-h200" / "layers.json").read_text())["rows"]
    (us,) = (
        row["median_us"]
        for row in rows
        if (row["layer"], row["contender"]) == ("unet 3x3 64", "octconv_cuda")
    )
    ours, measured, ratio = forward[-5:-2]
    assert measured == f"{us:.1f}"
    assert float(ratio) == pytest.approx(float(ours) / us, abs=0.01)


def test_the_newest_measurement_counts(tmp_path, monkeypatch):
    result = json.loads((RESULTS / "nvidia-h200" / "layers.json").read_text())
    monkeypatch.setattr(predicted, "RESULTS", tmp_path)
    (tmp_path / "h200").mkdir()
    case = ("unet 3x3 64", 8, HEADLINE_ALPHA, "forward")
    for name, date, us in (("a", "2001-01-02", 7.5), ("b", "2001-01-01", 8.5)):
        result["machine"]["date"] = date
        for row in result["rows"]:
            row["median_us"] = us
        (tmp_path / "h200" / f"{name}.json").write_text(json.dumps(result))
    assert predicted.measured("H200")[case][0] == 7.5


def written_us(result, folder, case):
    (folder / "h200" / "layers.json").write_text(json.dumps(result))
    return predicted.measured("H200")[case][0]


def test_kernels_on_trial_count_where_they_are_asked_for(tmp_path, monkeypatch):
    result = json.loads((RESULTS / "nvidia-h200" / "layers.json").read_text())
    monkeypatch.setattr(predicted, "RESULTS", tmp_path)
    (tmp_path / "h200").mkdir()
    case = ("unet 3x3 64", 8, HEADLINE_ALPHA, "forward")
    before = written_us(result, tmp_path, case)
    result["rows"] += [
        {**row, "contender": contenders.ON_TRIAL, "median_us": 1.5}
        for row in result["rows"]
        if row["contender"] == "octconv_cuda"
    ]
    assert written_us(result, tmp_path, case) == before != 1.5
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "1")
    assert written_us(result, tmp_path, case) == 1.5
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "late,late")
    assert written_us(result, tmp_path, case) == before
    for row in result["rows"]:
        row["contender"] = row["contender"].replace("_trial", "_trial:late")
    assert written_us(result, tmp_path, case) == 1.5
    result["settings"]["trial"] = "narrow"  # then all rows are
    monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "narrow")
    assert written_us(result, tmp_path, case) == before
    monkeypatch.delenv("OCTCONV_CUDA_TRIAL")
    (tmp_path / "h200" / "layers.json").write_text(json.dumps(result))
    assert predicted.measured("H200") == {}


def test_nothing_is_measured_elsewhere(capsys):
    for gpu in ("A100", "RTX 4090"):
        assert predicted.measured(gpu) == {}
        for words in lines_of(capsys, "--layers", "unet 3x3 64", "--batches", "8", "--gpu", gpu):
            assert words[-2].endswith("sm80")  # then what is predicted, and no vanilla


def test_other_kernels_than_those_that_serve_are_left_out(capsys):
    """The H100's first file is of forward_sm80."""
    assert ("unet 3x3 64", 8, 0.5, "forward") in predicted.measured("H100")
    arguments = ("--layers", "unet 3x3 64", "--batches", "8", "--gpu", "H100")
    assert all(words[-2].endswith("sm90") for words in lines_of(capsys, *arguments))


@pytest.mark.parametrize(
    ("gpu", "kernel_size", "kernels"),
    [
        ("H200", 3, ("forward_sm90", "forward_sm90", "weight_grad_sm90")),
        ("H100", 1, ("forward_1x1_sm90", "forward_1x1_sm90", "weight_grad_1x1_sm80")),
        ("A100", 3, ("forward_sm80", "forward_sm80", "weight_grad_sm80")),
    ],
)
def test_kernels_are_those_that_serve_by_default(gpu, kernel_size, kernels):
    layer = next(layer for layer in LAYERS if layer.kernel_size == kernel_size)
    predictions = [
        predicted.predict(layer, 32, mode, HEADLINE_ALPHA, 0.75, gpu) for mode in predicted.PASSES
    ]
    assert tuple(p.kernel for p in predictions) == kernels
    assert all(p.us > 0 for p in predictions)
    assert all((p.vanilla_us or 0) > 0 for p in predictions) == (gpu == "H200")


def test_vanilla_takes_its_arithmetic_or_its_traffic():
    """At half of 790 TFLOP/s, or at the 4.3 TB/s of the plans for an H200, beside a launch."""
    (compute,) = (layer for layer in LAYERS if layer.name == "unet 3x3 64")
    (traffic,) = (layer for layer in LAYERS if layer.name == "resnet 1x1 56 expand")
    us = [
        predicted.predict(layer, 8, "forward", HEADLINE_ALPHA, 0.5, "H200").vanilla_us
        for layer in (compute, traffic)
    ]
    products = 8 * 64 * 64 * 320 * 320 * 9
    assert us[0] == pytest.approx(2.5 + 1e6 * 2 * products / 395e12)
    elements = 8 * 56 * 56 * (64 + 256) + 64 * 256
    assert us[1] == pytest.approx(2.5 + 1e6 * 2 * elements / 4.3e12, rel=1e-4)


def test_other_gpus_than_those_of_the_plans_are_refused(capsys):
    assert predicted.main(["--gpu", "B200"]) == 2
    assert "device must be one of A100, " in capsys.readouterr().err


def test_an_absent_octave_is_for_family_sm80():
    """The other one does not cover it."""
    p = predicted.predict(LAYERS[0], 8, "forward", 0.0, 0.75, "H200")
    assert p.kernel == "forward_sm80"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batches", "many"], "--batches: must be a number, headline or all, got many"),
        (["--vanilla-share", "0"], "--vanilla-share must be above 0"),
        (["--alpha", "2"], "--alpha must be between 0 and 1"),
    ],
)
def test_bad_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        predicted.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("device", "gpu", "same"),
    [
        ("NVIDIA H100 80GB HBM3", "H100", True),
        ("NVIDIA A100-SXM4-80GB", "A100", True),
        ("NVIDIA GeForce RTX 4090", "RTX 4090", True),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090", False),
        ("NVIDIA GeForce RTX 4090 D", "RTX 4090", False),
        ("NVIDIA GeForce RTX 3090 Ti", "RTX 3090", False),
        ("NVIDIA H100 NVL", "H100", False),
        ("NVIDIA A100-PCIE-40GB", "A100", False),
        ("NVIDIA GH200 480GB", "H200", False),
        ("NVIDIA H200", "H100", False),
    ],
)
def test_results_are_of_the_gpu_that_is_asked_for(device, gpu, same):
    assert predicted._is_of(device, gpu) is same
