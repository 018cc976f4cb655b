"""benchmarks.networks: its command, its check of results, its ratios."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks import network_report, networks, treatments
from octconv_cuda import OctConv2d, per_part
from octconv_cuda.call import uncovered

QUICK = ["--size", "64", "--samples", "1", "--min-time", "0", "--alphas", "0.5"]
SMALL = ["--networks", "mobilenet_v1", *QUICK]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.json"
    arguments = [*SMALL, "--modes", "inference", "training", "--treatments", "eager", "fused"]
    assert networks.main([*arguments, "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    rows = [(row["mode"], row["treatment"], row["alpha"]) for row in result["timings"]]
    assert rows == [
        (mode, treatment, alpha)
        for mode, treatment in (
            ("inference", "eager"),
            ("inference", "fused"),
            ("training", "eager"),
        )
        for alpha in (0.0, 0.5)
    ]
    assert all(row["median_us"] > 0 for row in result["timings"])
    assert result["timings"][0]["flops"] > result["timings"][1]["flops"]
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert "of vanilla" in capsys.readouterr().out


def test_a_treatment_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fuse = treatments.fuse

    def wrong(network: Any) -> Any:
        fused = fuse(network)
        with torch.no_grad():
            fused.fc.weight.mul_(1.1)
        return fused

    monkeypatch.setattr(treatments, "fuse", wrong)
    arguments = [*SMALL, "--treatments", "fused", "--out", str(tmp_path / "a.json")]
    assert networks.main(arguments) == 1
    assert "is off by" in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text())["timings"] == []


class FirstResult(nn.Module):
    """What does not read its input again: right for one image, and for no other."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.result = network, None

    def forward(self, x: Tensor) -> Tensor:
        self.result = self.network(x) if self.result is None else self.result
        return self.result


def test_is_judged_by_more_than_one_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(treatments, "fuse", FirstResult)
    arguments = [*SMALL, "--treatments", "fused", "--out", str(tmp_path / "a.json")]
    assert networks.main(arguments) == 1
    assert "is off by" in capsys.readouterr().out


def test_the_first_images_are_timed() -> None:
    images = torch.arange(6.0).view(6, 1)
    x = torch.zeros(2, 1)
    outputs = networks._outputs(lambda: x * 2, x, images)
    assert outputs.flatten().tolist() == [8, 10, 4, 6, 0, 2]
    assert x.flatten().tolist() == [0, 1]


def row(alpha: float, median_us: float, flops: int, **other: Any) -> dict[str, Any]:
    shared = {
        "network": "oct_resnet50", "variant": "v1", "batch": 2, "dtype": "float32",
        "mode": "inference", "treatment": "eager", "size": 224, "wall_us": None,
    }  # fmt: skip
    spread = {"p20_us": 0.9 * median_us, "p80_us": 1.1 * median_us}
    return {**shared, **spread, "alpha": alpha, "median_us": median_us, "flops": flops, **other}


@pytest.fixture
def result() -> dict[str, Any]:
    return {
        "machine": {
            "device": "Abacus",
            "threads": 1,
            "torch": "2.13.0",
            "date": "2026-01-02T03",
            "commit": "0123456789",
        },
        "timings": [
            row(0.0, 2000.0, 100),
            row(0.5, 1200.0, 58),
            row(0.0, 1000.0, 100, treatment="fused"),
            row(0.5, 700.0, 58, treatment="fused"),
        ],
    }


def test_ratios_are_to_the_twin_in_the_same_treatment(result: dict[str, Any]) -> None:
    assert [line[1:] for line in network_report.ratios(result)] == [
        (1.0, 1.0), (0.6, 0.58), (1.0, 1.0), (0.7, 0.58),
    ]  # fmt: skip
    del result["timings"][0]
    assert network_report.ratios(result)[0][1:] == (None, None)
    network_report.table(result)


def test_markdown_labels_the_papers_times(result: dict[str, Any]) -> None:
    text = network_report.markdown(result).splitlines()
    assert text[0].startswith(
        "Abacus, 1 thread, torch 2.13.0, 2026-01-02, commit 0123456; networks"
    )
    assert text[4:] == [
        "| oct_resnet50 v1 | 2 | inference | eager | 2.0 | 0.60 |",
        "| oct_resnet50 v1 | 2 | inference | fused | 1.0 | 0.70 |",
        "| operations |  |  |  |  | 0.58 |",
        "| the paper's ResNet-50, another machine | 1 | inference | TVM | 115 | 0.64 |",
    ]


def test_summary_has_a_line_for_each_case(result: dict[str, Any]) -> None:
    training = [row(alpha, 1e3 * (1 + alpha), 100, mode="training") for alpha in (0.0, 0.5, 0.25)]
    result["timings"] += training
    compiled = [row(a, us, 58, treatment="compiled") for a, us in ((0.0, 500.0), (0.5, 800.0))]
    case = "| Abacus, 1 thread | oct_resnet50 v1 | 224 | float32 |"
    results = [result, {**result, "timings": compiled}]
    treated = "eager | fused | compiled | fastest"
    assert network_report.summary(results, 0.5).splitlines()[2:] == [
        f"| machine | network | pixels | dtype | mode | batch | {treated} |",
        "|---|---|---|---|---|--:|--:|--:|--:|--:|",
        f"{case} inference | 2 | 0.60 | 0.70 | 1.60 | 1.40 |",  # fused over compiled
        f"{case} training | 2 | 1.50 |  |  | 1.50 |",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--networks", "vgg"],
        ["--alphas", "1.5"],
        ["--samples", "0"],
        ["--treatments", "graphed"],
        ["--modes", "training", "--treatments", "fused"],
        ["--out", "x.png"],
    ],
    ids=" ".join,
)
def test_refuses_arguments(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        networks.main([*arguments, "--device", "cpu"])


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
def test_compiled_networks_have_their_weights_laid_out_in_advance() -> None:
    """What is written to a weight that inductor has frozen comes too late."""
    torch.compiler.reset()
    network = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()).eval()
    network.to(memory_format=torch.channels_last)
    image = torch.randn(1, 8, 16, 16).contiguous(memory_format=torch.channels_last)
    call = treatments.inference_call(network, image, "compiled")
    before = call()
    torch.testing.assert_close(before, network(image), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        network[0].weight.zero_()
    assert torch.equal(call(), before)


@pytest.mark.parametrize(
    ("mode", "treatment"),
    [("inference", "eager"), ("inference", "compiled"), ("training", "eager")],
)
def test_a_wrong_operator_is_refused(
    mode: str, treatment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Wrong in float64, too, and not by a factor, which norms would take out."""
    forward = OctConv2d.forward

    def flipped(part: Tensor) -> Tensor:
        return part.flip(3)

    def wrong(self: OctConv2d, *arguments: Any) -> Any:
        result = forward(self, *arguments)
        if uncovered(self._prepare(*arguments, None)):  # by PyTorch's operators
            return result
        return per_part(flipped, result)

    monkeypatch.setattr(OctConv2d, "forward", wrong)
    out = tmp_path / "a.json"
    arguments = [*SMALL, "--modes", mode, "--treatments", treatment, "--out", str(out)]
    assert networks.main(arguments) == 1
    text = {"inference": "the output", "training": "the gradient"}[mode]
    assert f"alpha 0.5: {text} is off by" in capsys.readouterr().out
    assert [row["alpha"] for row in json.loads(out.read_text())["timings"]] == [0.0]
