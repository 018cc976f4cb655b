"""How the native operators behave towards CUDA: one kernel, the current stream, graphs, no waiting.

What they compute, test_kernels.py checks.
"""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from octconv_cuda import OctConv2d
from octconv_cuda.build import why_no_kernels

OPS = torch.ops.octconv_cuda
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(
        torch.cuda.is_available() and bool(why_no_kernels(0)), reason="no kernels run on the device"
    ),
]

CHANNELS, SIZE, BATCH = 64, [28, 28], 4
LONG = 200_000_000  # clock cycles: a tenth of a second or more
Call = Callable[[], object]


def maps() -> tuple[Tensor, Tensor]:
    """A high and a low map."""
    high = torch.randn(BATCH, CHANNELS, *SIZE, device="cuda", dtype=torch.bfloat16)
    return (
        high.contiguous(memory_format=torch.channels_last),
        high[..., ::2, ::2].contiguous(memory_format=torch.channels_last),
    )


def calls(kernel: int, family: str) -> dict[str, Callable[[], tuple[Tensor, ...]]]:
    """The operators on operands of their own, 3x3 or 1x1."""
    x, dy = maps(), maps()
    weight = torch.randn(2 * CHANNELS, 2 * CHANNELS, kernel, kernel, device="cuda")
    weight = weight.to(torch.bfloat16, memory_format=torch.channels_last)
    flags = (SIZE, 1, True, family)
    return {
        "forward": lambda: OPS.forward(*x, weight, None, CHANNELS, *flags),
        "input_grad": lambda: OPS.input_grad(*dy, weight, CHANNELS, *flags),
        "weight_grad": lambda: OPS.weight_grad(
            *x, *dy, SIZE, [kernel, kernel], 1, True, True, family
        ),
    }


EACH_OPERATOR = pytest.mark.parametrize("operator", ["forward", "input_grad", "weight_grad"])
EACH_KERNEL = pytest.mark.parametrize("kernel", [1, 3])


def kernels_of(call: Call) -> list[str]:
    """The names of the kernels that a call launches."""
    call()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        call()
        torch.cuda.synchronize()
    names = [event.name for event in profile.events() if event.device_type.name == "CUDA"]
    return [name for name in names if not name.startswith("Mem")]


@EACH_OPERATOR
@EACH_KERNEL
def test_an_operator_is_one_kernel(operator: str, kernel: int) -> None:
    kernels = kernels_of(calls(kernel, "")[operator])
    adds_splits = operator == "weight_grad" and "add_weight_grad_splits" in kernels[-1]
    assert len(kernels) == (2 if adds_splits else 1), kernels
    assert all("octconv" in name for name in kernels)


@EACH_KERNEL
def test_stride_2_pools_first(kernel: int) -> None:
    layer = OctConv2d(2 * CHANNELS, 2 * CHANNELS, kernel, 2, device="cuda", dtype=torch.bfloat16)
    layer.to(memory_format=torch.channels_last)
    x = maps()
    with torch.no_grad():
        kernels = kernels_of(lambda: layer(x))
    assert len(kernels) == 2, kernels
    assert "pool2x2" in kernels[0]
    assert "octconv::forward" in kernels[1]


@EACH_OPERATOR
@EACH_KERNEL
def test_the_host_does_not_wait(operator: str, kernel: int) -> None:
    call = calls(kernel, "")[operator]
    call()
    torch.cuda.synchronize()
    torch.cuda._sleep(LONG)  # type: ignore[no-untyped-call]
    call()
    assert not torch.cuda.current_stream().query()
    torch.cuda.synchronize()


@EACH_OPERATOR
@EACH_KERNEL
def test_the_current_stream_is_used(operator: str, kernel: int) -> None:
    call = calls(kernel, "")[operator]
    expected = call()
    torch.cuda.synchronize()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    torch.cuda._sleep(LONG)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(side):
        results = call()
    side.synchronize()
    assert not torch.cuda.current_stream().query()  # the other one has not come to its end
    assert all(map(torch.equal, results, expected))
    torch.cuda.synchronize()


@EACH_OPERATOR
@EACH_KERNEL
def test_a_graph_captures_an_operator(operator: str, kernel: int) -> None:
    call = calls(kernel, "")[operator]
    expected = [result.clone() for result in call()]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = call()
    for _ in range(3):
        for result in results:
            result.fill_(torch.nan)
        graph.replay()
        assert all(map(torch.equal, results, expected))


FIRST_CALL = """
import sys, torch
from octconv_cuda import OctConv2d

layer = OctConv2d(128, 128, int(sys.argv[1]), device=sys.argv[2], dtype=torch.bfloat16)
high = torch.randn(4, 64, 28, 28, device=sys.argv[2], dtype=torch.bfloat16)
x = high, high[..., ::2, ::2].contiguous()
graph = torch.cuda.CUDAGraph()
with torch.no_grad():
    with torch.cuda.graph(graph):
        captured = layer(x)
    graph.replay()
    assert all(map(torch.equal, captured, layer(x)))
"""


@EACH_KERNEL
def test_a_graph_captures_the_first_call_of_a_process(kernel: int) -> None:
    """Where the runtime has not been asked about the device yet, nor loaded a kernel."""
    subprocess.run([sys.executable, "-c", FIRST_CALL, str(kernel), "cuda"], check=True)


@EACH_KERNEL
def test_a_graph_captures_a_training_step(kernel: int) -> None:
    layer = OctConv2d(2 * CHANNELS, 2 * CHANNELS, kernel, device="cuda", dtype=torch.bfloat16)
    x = tuple(part.requires_grad_() for part in maps())
    dy = maps()

    def step() -> tuple[Tensor, ...]:
        y = layer(x)
        return torch.autograd.grad([y.high, y.low], [*x, *layer.parameters()], dy)

    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(side):  # as PyTorch asks for before a capture
        step()
    side.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gradients = step()
    with torch.no_grad():
        for part in (*x, *dy):
            part.copy_(torch.randn_like(part))
    graph.replay()
    assert all(map(torch.equal, gradients, step()))


def overlapping_layer(kernel: int) -> OctConv2d:
    """Whose only launch is the kernel's: the weight lies as that reads it."""
    channels = 2 * CHANNELS
    layer = OctConv2d(channels, channels, kernel, device="cuda", dtype=torch.bfloat16, bias=False)
    return layer.to(memory_format=torch.channels_last)


@pytest.mark.trial
def test_launches_that_overlap_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of layers on trial, each of which reads what the last one wrote, also in a graph."""
    layers = [overlapping_layer(kernel) for kernel in (1, 3, 1, 3, 3, 1)]
    x = maps()

    def chain() -> tuple[Tensor, ...]:
        y = x
        for layer in layers:
            y = layer(y)
        return y

    with torch.no_grad():
        expected = [part.clone() for part in chain()]
        monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "1")
        first = [part.clone() for part in chain()]
        for part, other in zip(first, expected, strict=True):  # sums of splits round differently
            torch.testing.assert_close(part, other, rtol=0.05, atol=0.05)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = chain()
        for _ in range(100):
            for result in results:
                result.fill_(torch.nan)
            graph.replay()
            assert all(map(torch.equal, results, first))
            assert all(map(torch.equal, chain(), first))


@pytest.mark.trial
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("before", ["copy", "fill", "other_stream"])
def test_a_launch_that_overlaps_waits_for_others(
    before: str, kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is no kernel of ours right before a layer on trial, also in a graph.

    That does not let others begin before it ends, so this is about what PyTorch and the driver make
    of such a launch behind a copy, a kernel or the end of another stream's work.
    """
    layer = overlapping_layer(kernel)
    x, others = maps(), maps()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def write_inputs() -> None:
        for part, other in zip(x, others, strict=True):
            if before == "fill":
                part.fill_(1)
            else:
                part.copy_(other)

    def call() -> tuple[Tensor, ...]:
        if before == "other_stream":
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                write_inputs()
            torch.cuda.current_stream().wait_stream(side)
        else:
            write_inputs()
        y = layer(x)
        return y.high, y.low

    with torch.no_grad():
        monkeypatch.setenv("OCTCONV_CUDA_TRIAL", "1")
        write_inputs()
        torch.cuda.synchronize()
        expected = layer(x)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = call()
        for _ in range(20):
            for part in (*x, *results):
                part.fill_(torch.nan)
            graph.replay()
            assert all(map(torch.equal, results, expected))
            for part in x:
                part.fill_(torch.nan)
            assert all(map(torch.equal, call(), expected))
