"""Kernel times and wall times, on a simulated GPU: its clock is the host's, in microseconds."""

import itertools
import types

import pytest
import torch

from benchmarks import gpu, harness, report, timing
from benchmarks.layer_list import Layer

CPU = torch.device("cpu")
FLUSH_US = 70.0


class SimulatedGpu:
    """A queue of work behind a host; one cycle takes one microsecond."""

    def __init__(self, delay_cycles=100):
        self.delay_cycles = delay_cycles
        self.host = 0.0
        self.free = 0.0  # when the queue will be empty
        self.done = []
        self.calls = []

    def enqueue(self, what, us):
        self.free = max(self.host, self.free) + us
        self.done.append(what)

    def flush_l2(self):
        self.enqueue("flush", FLUSH_US)

    def wait_cycles(self, cycles):
        self.enqueue("wait", cycles)

    def mark(self):
        self.enqueue("mark", 0)
        return self.free

    def reached(self, mark):
        return mark <= self.host

    def microseconds(self, start, end):
        assert self.host >= end, "read before the GPU was there"
        return end - start

    def synchronize(self):
        self.host = max(self.host, self.free)

    def peak_bytes(self, call):
        call()
        return 4096


def a_call(simulated, name, host_us, kernel_us):
    """Kernels, each after as long on the host."""

    def call():
        simulated.calls.append(name)
        for us in kernel_us:
            simulated.host += host_us
            simulated.enqueue(name, us)

    return call


@pytest.fixture
def simulated(monkeypatch):
    """With the wall clock that belongs to it."""
    device = SimulatedGpu()

    def elapsed(block, number):
        assert number == 1
        start = device.host
        block()
        return (device.host - start) * 1e-6

    monkeypatch.setattr(timing.timeit, "timeit", elapsed)
    return device


def test_a_sample_is_one_call_behind_a_flush_and_a_delay(simulated):
    assert timing.kernel_us(a_call(simulated, "k", 1, [5, 7]), simulated) == 12
    assert simulated.done == ["flush", "wait", "mark", "k", "k", "mark"]
    assert simulated.delay_cycles == 100


def test_the_delay_grows_until_the_host_is_hidden(simulated):
    # 10 launches of 80 us each: without enough delay the GPU would wait for them.
    slow = a_call(simulated, "k", 80, [3] * 10)
    assert timing.kernel_us(slow, simulated) == 30
    assert simulated.delay_cycles == 800
    simulated.done.clear()
    assert timing.kernel_us(slow, simulated) == 30
    assert simulated.done.count("flush") == 1  # what was learnt stays


def test_a_call_that_waits_for_the_gpu_is_refused(simulated):
    def waits():
        simulated.enqueue("k", 5)
        simulated.synchronize()

    with pytest.raises(RuntimeError, match="it waits for the GPU"):
        timing.kernel_us(waits, simulated)


def test_what_events_take_themselves(simulated, monkeypatch):
    cost = itertools.cycle([2, 9, 2, 2, 2, 1])  # two of a sample, whose second one counts
    monkeypatch.setattr(
        simulated, "mark", lambda: simulated.enqueue("mark", next(cost)) or simulated.free
    )
    assert timing.empty_us(simulated) == 2  # of 9, 2 and 1
    assert timing.empty_us(None) is None
    monkeypatch.setattr(simulated, "mark", lambda: simulated.enqueue("mark", 2) or simulated.free)
    assert timing.kernel_us(a_call(simulated, "k", 1, [5]), simulated) == 7


def test_both_times_of_each_call(simulated):
    one_launch = a_call(simulated, "a", 10, [40])
    five_launches = a_call(simulated, "b", 10, [2] * 5)
    ticks = []
    first, second = timing.interleaved(
        [one_launch, five_launches], simulated, 4, min_time=0.0, progress=lambda: ticks.append(1)
    )
    approx = pytest.approx
    assert first[1:] == approx((40, 40, 40, 50, 50, 50))  # from an idle GPU: launched, then run
    assert second[1:] == approx((10, 10, 10, 52, 52, 52))  # the host takes longer, and counts
    assert len(ticks) == 8
    # Each round a kernel sample and a block of either, and the next begins with the other.
    assert "".join(simulated.calls[-16:]) == "aabbbbaaaabbbbaa"


def test_a_block_begins_on_an_idle_gpu(simulated):
    simulated.enqueue("left over", 500)
    call = a_call(simulated, "a", 10, [40])
    assert timing._wall_us(call, simulated, 1) == pytest.approx(50)


def test_blocks_last_min_time(simulated):
    call = a_call(simulated, "a", 10, [40])
    (result,) = timing.interleaved([call], simulated, 2, min_time=0.02)
    # The GPU is the slower one: only the first launch of a block shows.
    assert 40 <= result.wall_us < 40.1
    assert simulated.done.count("a") > 2 * 0.01 / 40e-6


# What stands behind it on a real GPU


@pytest.fixture
def cuda(monkeypatch):
    """torch.cuda without a GPU: what was asked of it, in order."""
    asked = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            self.place = len(asked)

        def record(self):
            asked.append("record")

        def query(self):
            return True

        def elapsed_time(self, end):
            return (end.place - self.place) * 0.25  # milliseconds

    properties = types.SimpleNamespace(L2_cache_size=1 << 10)
    fakes = {
        "get_device_properties": lambda device: properties,
        "Event": Event,
        "_sleep": lambda cycles: asked.append(f"sleep {cycles}"),
        "synchronize": lambda device: asked.append("synchronize"),
        "memory_allocated": lambda device: 1000,
        "reset_peak_memory_stats": lambda device: asked.append("reset"),
        "max_memory_allocated": lambda device: 1500,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return asked


def test_gpu_asks_cuda_in_order(cuda):
    device = gpu.Gpu(CPU)
    assert device._sweep.nbytes == 4 << 10
    device.flush_l2()
    device.wait_cycles(7)
    start = device.mark()
    cuda.append("kernel")
    end = device.mark()
    assert device.reached(start)
    assert device.microseconds(start, end) == 500.0
    assert cuda == ["sleep 7", "record", "kernel", "record"]


def test_peak_memory_is_what_a_call_adds(cuda):
    device = gpu.Gpu(CPU)
    assert device.peak_bytes(lambda: cuda.append("call")) == 500
    assert cuda == ["synchronize", "reset", "call", "synchronize"]


def test_a_cpu_is_no_gpu():
    assert gpu.gpu_of(CPU) is None


# Through the harness and into the report


class InstantGpu(SimulatedGpu):
    """What is called computes on the CPU; a mark takes a microsecond."""

    def mark(self):
        super().mark()
        self.free += 1
        return self.free


def test_rows_hold_kernel_and_wall_time_and_memory(monkeypatch):
    monkeypatch.setattr(harness, "gpu_of", lambda device: InstantGpu())
    layer = Layer("tiny 3x3", (7, 6), 8, 16, 3, (1, 2), 2)
    entries = (("vanilla", 0.0), ("composed", 0.5), ("octconv_cuda", 0.5))
    case = harness.Case(layer, 2, "float32", "forward", "noise", entries)
    rows = harness.run_case(case, CPU, samples=3, min_time=0.0).rows
    assert [row["contender"] for row in rows] == ["vanilla", "composed", "octconv_cuda"]
    for row in rows:
        assert row["median_us"] == row["p20_us"] == row["p80_us"] == 1
        assert 0 < row["wall_p20_us"] <= row["wall_us"] <= row["wall_p80_us"]
        assert row["peak_bytes"] == 4096
    result = {
        "machine": {
            "device": "Abacus",
            "threads": 1,
            "torch": "2.13.0",
            "date": "2026-01-02T03",
            "commit": None,
            "library": "0123456789ab",
        },
        "settings": {"bias": False, "cudnn_benchmark": True},
        "ceilings": {"flops_per_second": {"float32": 1e9}, "bytes_per_second": 1e8},
        "rows": rows,
    }
    line = list(report.lines(result))[2]
    assert line.wall_speedup == rows[0]["wall_us"] / rows[2]["wall_us"]
    assert [column.header for column in report.table(result).columns][-2:] == [
        "wall us",
        "wall\nspeed-up",
    ]
    assert "forward, noise, no bias, kernel time; alpha 0.5" in report.markdown(result, 0.5)
