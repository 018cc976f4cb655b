"""The known answers are those of the oracle, and a wrong one is noticed."""

import json
from types import SimpleNamespace

import pytest
import torch
from oracle import oct_conv2d

from octconv_cuda import __main__, known_answers
from octconv_cuda.known_answers import CASES, KnownAnswer, fingerprint, inputs


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outputs_are_the_oracles(case: KnownAnswer) -> None:
    x_high, x_low, weight, bias = (t.double().numpy() for t in inputs(case))
    arguments = dict(case.arguments)
    high_out, _ = arguments.pop("out_channels")
    dilation = arguments.pop("dilation", 1)
    arguments["dilation"] = (dilation, dilation)
    size = arguments.pop("size", x_high.shape[2:])
    outputs = oct_conv2d(x_high, x_low, weight, bias, high_out, size, **arguments)
    assert case.answers[:2] == tuple(fingerprint(torch.from_numpy(y.copy())) for y in outputs)


def test_the_kernels_for_hopper_have_their_cases() -> None:
    served = set()
    for case in (case for case in CASES if case.dtype == torch.float16):
        (batch, high_in, *size), (_, low_in, *_), (*_, k) = case.shapes
        channels = (high_in, low_in, *case.arguments["out_channels"])
        numbers = [batch, *size, *channels, k, case.arguments.get("stride", 1), False]
        plan = torch.ops.octconv_cuda.plan_forward_sm90(numbers, "float16", "H100")
        served.add(json.loads(plan)["text"].partition(",")[0])
    assert served == {"forward_sm90", "forward_1x1_sm90"}


@pytest.mark.parametrize("place", range(6))
def test_a_wrong_answer_is_noticed(
    place: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main() == 0
    assert "WRONG" not in capsys.readouterr().out
    case = CASES[1]
    answers = list(case.answers)
    answers[place] += 1
    cases = (CASES[0], case._replace(answers=tuple(answers)))
    monkeypatch.setattr(known_answers, "CASES", cases)
    assert __main__.main() == 1
    printed = capsys.readouterr().out
    assert printed.count("WRONG") == printed.count(case.name)
    assert "right" in printed


def test_a_gpu_without_kernels_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two, kernels run on the second alone."""
    old = SimpleNamespace(name="Old", major=7, minor=0, multi_processor_count=80)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: old)
    monkeypatch.setattr(__main__, "why_no_kernels", lambda index: "too old" if index == 0 else "")
    monkeypatch.setattr(__main__, "native_kernels", lambda kind: ("forward",))
    monkeypatch.setattr(__main__, "check", lambda device: [])
    assert __main__.main() == 0
    printed = capsys.readouterr().out
    assert printed.count("no kernels run on it: too old") == 1
    table = [line.split() for line in printed.splitlines()]
    assert ["cpu", "cuda:0", "cuda:1"] in table
    assert ["forward", "native", "PyTorch", "native"] in table


def test_an_exception_is_a_wrong_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    impossible = CASES[0]._replace(arguments={"out_channels": (1, 1)})
    monkeypatch.setattr(known_answers, "CASES", (impossible, CASES[1]))
    assert __main__.main() == 1
    assert "ValueError" in capsys.readouterr().out
