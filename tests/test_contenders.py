"""Contenders compute the layer that they stand for, by the kernels that they are named after."""

import ctypes
import os

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import octconv_cuda
from benchmarks import contenders, harness, inputs
from benchmarks.layer_list import Layer
from octconv_cuda import reference

CPU = torch.device("cpu")
TINY = Layer("tiny 3x3", (7, 6), 8, 16, 3, (1, 2), 2)
VARIABLE = "OCTCONV_CUDA_TRIAL"
SPLITS = "octconv_cuda_trial:splits"


def asked():
    """What C sees of the environment, as the operators do, to which nothing is as good as none."""
    get = ctypes.CDLL(None).getenv
    get.restype = ctypes.c_char_p
    value = get(VARIABLE.encode())
    return value.decode() if value else None


def build(name, alpha):
    weight, bias = harness.random_parameters(TINY, CPU, torch.float32, bias=True)
    maps = inputs.octave_maps("noise", 1, (6, 2), TINY.size, seed=0)
    return contenders.BUILDERS[name](TINY, alpha, weight, bias), maps, weight, bias


def test_composed_is_the_reference():
    composed, (high, low), weight, bias = build("composed", 0.25)
    expected = reference.oct_conv2d(high, low, weight, bias, 12)
    torch.testing.assert_close(tuple(composed.run(high, low)), expected)


class _Asked(TorchDispatchMode):
    """What the environment says when operators of this library run."""

    def __init__(self):
        super().__init__()
        self.of = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "octconv_cuda":
            self.of.setdefault(function.__name__.partition(".")[0], set()).add(asked())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("before", [None, "0", "1"])
@pytest.mark.parametrize("name", ["octconv_cuda", contenders.ON_TRIAL, SPLITS])
def test_kernels_on_trial_serve_their_contender_alone(name, before, monkeypatch):
    if before is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, before)
    expected = {{contenders.ON_TRIAL: "1", SPLITS: "splits"}.get(name, before)}
    contender, maps, _, _ = build(name, 0.25)
    gradients = inputs.octave_maps("noise", 1, (12, 4), TINY.size, seed=1)
    single = (("forward",), ("input_grad",), ("weight_grad",))
    for mode, operators in zip(contenders.MODES, (*single, sum(single, ())), strict=True):
        call = contenders.bind(contender, maps, gradients, mode)
        with _Asked() as seen:
            call()
        assert [seen.of[operator] for operator in operators] == len(operators) * [expected]
        assert asked() == os.environ.get(VARIABLE) == before


def test_what_serves_is_asked_as_it_is_called(monkeypatch):
    seen = []

    def explain(self, input):
        seen.append(asked())
        return octconv_cuda.Explanation("operator", "it", "")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(octconv_cuda.OctConv2d, "explain", explain)
    for name in ("octconv_cuda", contenders.ON_TRIAL, SPLITS):
        contender, maps, _, _ = build(name, 0.25)
        assert contender.kernel(*maps) == "it"
    assert seen == [None, "1", "splits"]


@pytest.mark.parametrize("mode", ["forward", "input_gradient"])
@pytest.mark.parametrize(
    ("others", "timed"),
    [
        (["octconv_cuda", "octconv_cuda_trial:late"], True),
        (["octconv_cuda_trial:splits", "octconv_cuda_trial:late", "octconv_cuda"], True),
        (["octconv_cuda", "octconv_cuda_trial:splits", "octconv_cuda_trial:linear"], False),
        (["octconv_cuda", "composed", "octconv_cuda_trial:splits"], True),
        (["octconv_cuda", contenders.ON_TRIAL], True),
        (["octconv_cuda"], True),
    ],
)
def test_parts_on_trial_are_timed_where_they_change_something(others, timed, mode, monkeypatch):
    def explain(self, input):
        late = asked() == "late" and self.in_split == (4, 4)
        return octconv_cuda.Explanation("operator", f"late{late}", "")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(octconv_cuda.OctConv2d, "explain", explain)
    entries = (("vanilla", 0.0), *((name, alpha) for alpha in (0.25, 0.5) for name in others))
    case = harness.Case(TINY, 1, "float32", mode, "noise", entries)
    ready, outcome = harness.check_case(case, CPU)
    assert outcome == harness.Outcome([], [], [])
    timed |= mode != "forward"  # of which alone it is known before
    assert [(entry.contender, entry.alpha) for entry in ready] == [*entries] * timed


def test_the_environment_is_as_before_when_a_call_fails(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)

    def fail(*maps):
        raise RuntimeError(asked())

    contender, maps, _, _ = build(contenders.ON_TRIAL, 0.25)
    call = contenders.bind(contender._replace(run=fail), maps, (), "forward")
    with pytest.raises(RuntimeError, match="1"):
        call()
    assert asked() is None


def test_a_result_that_goes_wrong_as_it_is_timed_is_refused(monkeypatch):
    builder, calls = contenders.BUILDERS["octconv_cuda"], []

    def build_it(*arguments):
        contender = builder(*arguments)

        def run(*maps):
            calls.append(maps)
            high, low = contender.run(*maps)
            return (high if len(calls) < 4 else high.roll(1, 2)), low

        return contender._replace(run=run)

    monkeypatch.setitem(contenders.BUILDERS, "octconv_cuda", build_it)
    entries = (("vanilla", 0.0), ("octconv_cuda", 0.5))
    case = harness.Case(TINY, 1, "float32", "forward", "noise", entries)
    outcome = harness.run_case(case, CPU, samples=3, min_time=0.0)
    assert [row["contender"] for row in outcome.rows] == ["vanilla"]
    (refusal,) = outcome.refused
    assert "alpha 0.5, octconv_cuda, when it had been timed: y_high may differ" in refusal
